//! Which page a request asks for. Everything is decided from its method and its URL.

/// A page of the gateway itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Whether it can do what its policies say.
    Health,
    /// What runs.
    Version,
    /// What it publishes.
    Catalog,
    /// Whose tokens open what (RFC 9728).
    Resource,
    /// The keys of its own tokens (RFC 7517).
    Keys,
    /// Panics, so that tests can show whom that harms.
    #[cfg(feature = "faults")]
    Panic,
    /// Answers after so many milliseconds, so that tests have a request in flight.
    #[cfg(feature = "faults")]
    Slow(u32),
    /// None that there is.
    NotFound,
    /// One that there is, asked what it takes.
    Options,
    /// One that there is, asked in a way in which it cannot be.
    MethodNotAllowed,
}

/// The page that a request asks for.
pub(crate) fn route(method: &str, url: &Location<'_>) -> Route {
    let route = match url.path {
        "/_turnpike/health" => Route::Health,
        "/_turnpike/version" => Route::Version,
        crate::answer::CATALOG => Route::Catalog,
        crate::keys::PATH => Route::Keys,
        path if crate::answer::resource_path(path).is_some() => Route::Resource,
        #[cfg(feature = "faults")]
        "/_turnpike/panic" => Route::Panic,
        #[cfg(feature = "faults")]
        "/_turnpike/slow" => Route::Slow(milliseconds(url.query)),
        _ => return Route::NotFound,
    };
    match method {
        "GET" | "HEAD" => route,
        "OPTIONS" => Route::Options,
        _ => Route::MethodNotAllowed,
    }
}

/// `ms` of a query, at most ten seconds; 1,000 where it is not a number.
#[cfg(feature = "faults")]
fn milliseconds(query: &str) -> u32 {
    let written = query.split('&').find_map(|pair| pair.strip_prefix("ms="));
    written
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000)
        .min(10_000)
}

/// The parts of an absolute URL that matter here. The platform has parsed and normalized it, so
/// that cutting is enough (and the URL parser, which is large, stays out of the Wasm).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location<'a> {
    /// Scheme, host and port: `https://api.acme.dev`.
    pub(crate) origin: &'a str,
    /// The path, `/` at least.
    pub(crate) path: &'a str,
    /// The query without `?`; empty: none.
    pub(crate) query: &'a str,
}

impl<'a> Location<'a> {
    /// Cuts a URL as the platform writes it.
    pub(crate) fn of(url: &'a str) -> Self {
        let url = url.split_once('#').map_or(url, |(url, _)| url);
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        let host = url.find("://").map_or(0, |at| at + "://".len());
        let slash = url
            .get(host..)
            .and_then(|rest| rest.find('/'))
            .map(|at| host + at);
        let (origin, path) = slash
            .and_then(|at| url.split_at_checked(at))
            .unwrap_or((url, "/"));
        Self { origin, path, query }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(method: &str, path: &str) -> Route {
        route(method, &Location::of(&format!("https://api.acme.dev{path}")))
    }

    #[test]
    fn pages_are_read_by_get_and_head() {
        for (path, page) in [
            ("/_turnpike/health", Route::Health),
            ("/_turnpike/version", Route::Version),
            ("/.well-known/api-catalog", Route::Catalog),
            ("/.well-known/oauth-protected-resource", Route::Resource),
            (
                "/.well-known/oauth-protected-resource/petstore/v2",
                Route::Resource,
            ),
        ] {
            assert_eq!(at("GET", path), page);
            assert_eq!(at("HEAD", path), page);
            assert_eq!(at("GET", &format!("{path}?a=/b#c")), page);
            assert_eq!(at("OPTIONS", path), Route::Options);
            for method in ["POST", "PUT", "DELETE", "options", "get", "FOO"] {
                assert_eq!(at(method, path), Route::MethodNotAllowed, "{method} {path}");
            }
        }
    }

    #[test]
    fn everything_else_is_not_found() {
        for path in [
            "",
            "/",
            "/_turnpike",
            "/_turnpike/",
            "/_turnpike/health/",
            "/_turnpike/Health",
            "/_turnpike/%68ealth",
            "//_turnpike/health",
            "/.well-known/openid-configuration",
            "/?/_turnpike/health",
        ] {
            for method in ["GET", "POST", "OPTIONS"] {
                assert_eq!(at(method, path), Route::NotFound, "{method} {path}");
            }
        }
    }

    #[cfg(not(feature = "faults"))]
    #[test]
    fn faults_are_not_part_of_a_build_that_is_deployed() {
        assert_eq!(at("GET", "/_turnpike/panic"), Route::NotFound);
        assert_eq!(at("GET", "/_turnpike/slow?ms=1"), Route::NotFound);
    }

    #[cfg(feature = "faults")]
    #[test]
    fn faults_are_there_for_tests() {
        assert_eq!(at("GET", "/_turnpike/panic"), Route::Panic);
        assert_eq!(at("GET", "/_turnpike/slow?a=b&ms=25"), Route::Slow(25));
        assert_eq!(at("GET", "/_turnpike/slow?ms=99999999"), Route::Slow(10_000));
        assert_eq!(at("GET", "/_turnpike/slow?ms=x"), Route::Slow(1_000));
    }

    #[test]
    fn a_url_is_cut_where_its_parts_meet() {
        let cut = Location::of("http://127.0.0.1:8787/a/b?c=https://d/e?f#g");
        assert_eq!(
            cut,
            Location {
                origin: "http://127.0.0.1:8787",
                path: "/a/b",
                query: "c=https://d/e?f"
            }
        );
        assert_eq!(Location::of("https://a.test").path, "/");
        assert_eq!(Location::of("https://a.test?x/y").origin, "https://a.test");
    }
}
