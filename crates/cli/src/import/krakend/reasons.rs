//! Why a part of an `extra_config` was not carried over, and what there is here instead.

/// For a component by its namespace: of the whole configuration, or of an endpoint.
pub(super) fn of(name: &str) -> &'static str {
    match name {
        "auth/validator" => {
            "tokens are taken of `issuers` in gateway.yaml, for all APIs; scopes are `authorize` of an API"
        }
        "auth/signer" | "auth/client-credentials" => {
            "tokens for upstreams are `signed` or a `grant` of an `upstream_credential`"
        }
        "auth/api-keys" => {
            "keys are credentials of consumers, of which only the SHA-256 is kept: `turnpike new key`"
        }
        "auth/basic" | "auth/mtls" | "auth/ntlm" | "auth/gcp" | "auth/aws-sigv4" => {
            "callers are known by tokens or API keys, and upstreams know the gateway by an `upstream_credential`"
        }
        "auth/revoker" => "`turnpike deny` refuses a key, a subject or a consumer on a gateway that runs",
        "qos/ratelimit/service" | "qos/ratelimit/router" | "qos/ratelimit/tiered" | "qos/ratelimit/proxy" => {
            "its windows and subjects are not those of limits here: write `limits` in api.yaml or in plans"
        }
        "qos/circuit-breaker" => {
            "calls of APIs are not held back by failures of before; models have `retry` and `fallback`"
        }
        "qos/http-cache" => "answers are not cached: their own `cache-control` goes to the client",
        "security/bot-detector" | "security/policies" | "security/http" => {
            "addresses and browsers are the platform's firewall to judge; conditions on callers are `when` of an operation"
        }
        "validation/json-schema" | "validation/response-json-schema" => {
            "paths, methods and sizes are held to the document; bodies are not yet checked against a schema"
        }
        "validation/cel" => "conditions are `when` of an operation, in a part of CEL",
        "telemetry/opentelemetry" | "telemetry/opentelemetry-security" | "telemetry/opencensus" => {
            "the trace context of W3C is passed on, and its id is in the line of the log; spans are not sent"
        }
        "telemetry/logging"
        | "telemetry/gelf"
        | "telemetry/logstash"
        | "telemetry/metrics"
        | "telemetry/influx"
        | "telemetry/newrelic"
        | "telemetry/moesif"
        | "telemetry/ganalytics" => {
            "each request is one line of JSON in the Worker's log, which the platform delivers (Logpush, tail Workers)"
        }
        "modifier/lua-endpoint"
        | "modifier/lua-proxy"
        | "modifier/lua-backend"
        | "modifier/martian"
        | "modifier/request-body-generator"
        | "modifier/response-body-generator"
        | "modifier/body-generator"
        | "modifier/jmespath"
        | "modifier/response-body"
        | "modifier/response-headers" => {
            "requests and answers pass as they are: what it changed belongs to the upstream"
        }
        "plugin/http-server" | "plugin/http-client" | "plugin/req-resp-modifier" | "plugin/middleware" => {
            "policies carry no code: what the plugin did belongs to the upstream"
        }
        "router" => "methods, not-found answers and health are the gateway's own: `/_turnpike/health`",
        "proxy" | "backend/http" | "backend/http/client" => {
            "one call goes to one upstream, whose answer comes back as it is"
        }
        "backend/graphql"
        | "backend/grpc"
        | "backend/soap"
        | "backend/lambda"
        | "backend/amqp/consumer"
        | "backend/amqp/producer"
        | "backend/pubsub/publisher"
        | "backend/pubsub/subscriber"
        | "grpc"
        | "websocket"
        | "async/amqp"
        | "async/kafka" => "upstreams speak HTTP with requests and answers; nothing is translated",
        "ai/llm" | "ai/mcp" => {
            "what it calls is a model with targets: `turnpike new model`, and a file in `providers`"
        }
        "documentation/openapi" => {
            "the document of an API is written beside it: put that of its authors there"
        }
        "governance/quota" => "quotas are `limits` of a plan: `{ quota: 1000/day }`",
        "server/static-filesystem" | "server/virtualhost" => {
            "files and hosts are the platform's to serve; `hosts` names the gateway's own"
        }
        _ => {
            "the policies have nothing that does what it does, and it is not one of KrakenD's that is known here"
        }
    }
}
