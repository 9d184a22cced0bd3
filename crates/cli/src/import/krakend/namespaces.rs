//! The namespaces of an `extra_config`: each component once had the address of its source, which is still read.

/// The present name of a component.
pub(super) fn present(name: &str) -> &str {
    let Some(rest) = name
        .strip_prefix("github.com/")
        .or_else(|| name.strip_prefix("github_com/"))
    else {
        return name;
    };
    let rest = rest.split_once('/').map_or(rest, |(_, rest)| rest);
    match rest {
        "krakend-cors" => "security/cors",
        "krakend-httpsecure" => "security/http",
        "krakend-botdetector" => "security/bot-detector",
        "krakend-jose/validator" => "auth/validator",
        "krakend-jose/signer" => "auth/signer",
        "bloomfilter" => "auth/revoker",
        "krakend-oauth2-clientcredentials" => "auth/client-credentials",
        "krakend-ratelimit/juju/router" => "qos/ratelimit/router",
        "krakend-ratelimit/juju/proxy" => "qos/ratelimit/proxy",
        "krakend-circuitbreaker/gobreaker" => "qos/circuit-breaker",
        "krakend-httpcache" => "qos/http-cache",
        "krakend-gologging" => "telemetry/logging",
        "krakend-gelf" => "telemetry/gelf",
        "krakend-logstash" => "telemetry/logstash",
        "krakend-metrics" => "telemetry/metrics",
        "krakend-opencensus" => "telemetry/opencensus",
        "krakend-influx" => "telemetry/influx",
        "krakend-cel" => "validation/cel",
        "krakend-jsonschema" => "validation/json-schema",
        "krakend-lua/router" => "modifier/lua-endpoint",
        "krakend-lua/proxy" => "modifier/lua-proxy",
        "krakend-lua/proxy/backend" => "modifier/lua-backend",
        "krakend-martian" => "modifier/martian",
        "krakend-lambda" => "backend/lambda",
        "krakend-amqp/consume" => "backend/amqp/consumer",
        "krakend-amqp/produce" => "backend/amqp/producer",
        "krakend-pubsub/publisher" => "backend/pubsub/publisher",
        "krakend-pubsub/subscriber" => "backend/pubsub/subscriber",
        "krakend/http" | "lura/http" => "backend/http",
        "krakend/proxy" | "lura/proxy" => "proxy",
        "krakend/router/gin" | "lura/router/gin" => "router",
        "krakend/transport/http/client/executor" | "lura/transport/http/client/executor" => {
            "plugin/http-client"
        }
        "krakend/transport/http/server/handler" | "lura/transport/http/server/handler" => {
            "plugin/http-server"
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::present;

    #[test]
    fn names_of_before() {
        for (name, expected) in [
            ("auth/validator", "auth/validator"),
            ("github.com/devopsfaith/krakend-jose/validator", "auth/validator"),
            ("github_com/devopsfaith/krakend-cors", "security/cors"),
            ("github_com/luraproject/lura/router/gin", "router"),
            ("github_com/of-our-own/plugin", "github_com/of-our-own/plugin"),
            ("github.com/", "github.com/"),
        ] {
            assert_eq!(present(name), expected);
        }
    }
}
