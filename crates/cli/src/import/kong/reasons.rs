//! Why a plugin was not carried over, and what there is here instead.

/// For a plugin by its name in Kong.
pub(super) fn of(name: &str) -> String {
    let unknown = "the policies have nothing that does what it does, and it is not one of Kong's that is known here: as it \
                   may have kept callers out, nobody is granted what it stood before";
    known(name).unwrap_or(unknown).to_owned()
}

/// The same for one that is known: what it does keeps nobody out, or is looked at elsewhere.
pub(super) fn known(name: &str) -> Option<&'static str> {
    let why = match name {
        "acl" => {
            "groups are carried over where it is a plugin of a service; consumers say in `may` what they call"
        }
        "ip-restriction" | "bot-detection" => {
            "addresses are let in and kept out before the gateway, by the platform's firewall rules; `when` of an \
             operation may ask for `request.country`"
        }
        "geoip" => "`when` of an operation may ask for `request.country`",
        "request-transformer" | "request-transformer-advanced" | "jq" | "exit-transformer" => {
            "requests go on as they came; what the upstream is told of the caller is `upstream_headers`, and how the \
             gateway identifies there is `upstream_credential`"
        }
        "response-transformer" | "response-transformer-advanced" => {
            "answers come back as they are, with the headers that `answer_headers` names"
        }
        "correlation-id" => {
            "each request has an `x-request-id` already, in its answer and in its line of the log"
        }
        "request-termination" => {
            "what is not described is not there; `lifecycle` retires a version, and `turnpike deny` closes an \
             operation for a while"
        }
        "request-size-limiting" => "for all APIs at once it is `max_body` of the floor, in gateway.yaml",
        "proxy-cache" | "proxy-cache-advanced" | "graphql-proxy-cache-advanced" => {
            "answers are not cached: their own `cache-control` goes to the client"
        }
        "http-log" | "tcp-log" | "udp-log" | "file-log" | "syslog" | "loggly" | "kafka-log" | "datadog"
        | "statsd" | "statsd-advanced" | "prometheus" | "app-dynamics" => {
            "each request is one line of JSON in the Worker's log, which the platform delivers (Logpush, tail Workers)"
        }
        "opentelemetry" | "zipkin" => {
            "the trace context of W3C is passed on, and its id is in the line of the log; spans are not sent"
        }
        "rate-limiting-advanced" | "graphql-rate-limiting-advanced" | "response-ratelimiting" => {
            "its windows are not those of `rate-limiting`: write them as `limits` of a plan or of the API"
        }
        "ai-rate-limiting-advanced" => "limits of tokens and of money are `limits` of a plan or a model",
        "ai-proxy" | "ai-proxy-advanced" => {
            "what it calls is a model with targets: `turnpike new model`, and a file in `providers`"
        }
        "ai-prompt-guard"
        | "ai-semantic-prompt-guard"
        | "ai-prompt-decorator"
        | "ai-prompt-template"
        | "ai-semantic-cache"
        | "ai-request-transformer"
        | "ai-response-transformer" => "prompts and completions pass as they are",
        "pre-function" | "post-function" | "serverless-functions" => {
            "policies carry no code: conditions are `when`, and what else it did belongs to the upstream; as it may have \
             kept callers out, nobody is granted what it stood before"
        }
        "aws-lambda" | "azure-functions" | "openwhisk" | "kafka-upstream" => {
            "upstreams are called by HTTP: give the function a URL and write that as `upstream`"
        }
        "grpc-gateway" | "grpc-web" | "degraphql" | "websocket-size-limit" | "websocket-validator" => {
            "upstreams speak HTTP with requests and answers; nothing is translated"
        }
        "jwt-signer" | "upstream-oauth" => {
            "tokens for upstreams are `signed` or a `grant` of an `upstream_credential`"
        }
        "opa" => {
            "what another service decides is a `relation` of `authorize`, with one of the `decision_points`"
        }
        "acme" => "certificates of the gateway's hosts are the platform's",
        "upstream-timeout" => "time-outs are those of a version: `timeouts` in api.yaml",
        "confirm" | "tls-handshake-modifier" | "tls-metadata-headers" => {
            "client certificates are those that the platform verifies: write them as `certificate` credentials of consumers"
        }
        "mocking" => "a version with `mock: openapi` answers from the examples of its document",
        "request-validator" | "oas-validation" | "json-threat-protection" | "xml-threat-protection" => {
            "paths, methods and sizes are held to the document; contents of bodies are the upstream's to check"
        }
        "canary" | "route-by-header" | "forward-proxy" | "route-transformer-advanced" => {
            "a version of an API has one upstream in each environment; a new one is a new version or a deployment"
        }
        "rate-limiting" | "cors" => "it is carried over only where it applies to all, or to a service",
        _ => return None,
    };
    Some(why)
}
