//! Phase 1, accept: the request in one canonical form, or not at all.
//!
//! Whatever can be read in two ways is refused here, so that no later phase and no upstream reads
//! it differently from the one that decided. The platform has parsed the URL (dot segments are
//! gone, the host is lower case); what it leaves in place is handled here: encoded slashes, empty
//! segments, needlessly encoded characters, repeated headers.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use turnpike_policy::{Method, hex, push_hex};

use crate::error::{Code, Refusal};
use crate::step::Head;

/// The longest URL accepted, in bytes.
pub const MAX_URL: usize = 8 * 1024;
/// The largest value accepted of a header that the engine reads, in bytes.
pub const MAX_HEADER: usize = 8 * 1024 + 512;
/// The most path segments accepted.
pub const MAX_SEGMENTS: usize = 64;

/// The randomness that one request needs. No part of it is used twice, and `choice` is never shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random {
    /// The trace's id, where the caller has none.
    pub trace: [u8; 16],
    /// The span's id.
    pub span: [u8; 8],
    /// The request's id.
    pub id: [u8; 16],
    /// For choices.
    pub choice: u64,
}

/// A request in canonical form. Only [`accept`] makes it:
///
/// ```
/// use turnpike_engine::Head;
/// use turnpike_engine::accept::{Random, accept};
///
/// let head = Head { method: "GET", url: "https://api.example/%61", ..Head::default() };
/// let accepted = accept(&head, &Random::default()).map_err(|refusal| refusal.code);
/// assert_eq!(accepted.map(|accepted| accepted.path().to_owned()), Ok("/a".to_owned()));
/// ```
///
/// and nobody else:
///
/// ```compile_fail,E0451
/// use turnpike_engine::accept::{Accepted, Trace};
/// use turnpike_policy::Method;
///
/// let accepted = Accepted {
///     method: Method::Get,
///     host: String::new(),
///     path: "/..//".to_owned(),
///     query: String::new(),
///     trace: Trace::default(),
///     content_length: None,
/// };
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    method: Method,
    host: String,
    path: String,
    query: String,
    trace: Trace,
    content_length: Option<u64>,
}

impl Accepted {
    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The host, lower case, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path, beginning with `/`, needless percent-encoding undone.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, without `?`; empty: none.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The trace that this request is a part of.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The length of the body as announced.
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}

/// The trace of a request (W3C Trace Context).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The trace's id: the caller's, or a new one.
    pub id: [u8; 16],
    /// The id of this gateway's span.
    pub span: [u8; 8],
    /// Its flags.
    pub flags: u8,
    /// Whether the caller sent a valid trace, whose state may then be passed on.
    pub continued: bool,
}

impl Trace {
    /// The value of `traceparent` for an upstream.
    pub fn parent(&self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.id);
        text.push('-');
        push_hex(&mut text, &self.span);
        // Writing to a String cannot fail.
        let _ = write!(text, "-{:02x}", self.flags);
        text
    }

    /// The trace's id in hexadecimal digits.
    pub fn id_text(&self) -> String {
        hex(&self.id)
    }
}

/// Takes a request, or says why it cannot be taken. `random` names its trace.
pub fn accept(head: &Head<'_>, random: &Random) -> Result<Accepted, Refusal> {
    if head.url.len() > MAX_URL {
        return Err(Refusal::new(
            Code::UriTooLong,
            "The URL may have at most 8192 bytes.",
        ));
    }
    for (name, value) in crate::step::HEAD_NAMES.iter().zip(head.headers) {
        let Some(value) = value else { continue };
        if value.len() > MAX_HEADER {
            let detail = format!("The header `{name}` may have at most {MAX_HEADER} bytes.");
            return Err(Refusal::new(Code::HeaderTooLarge, detail));
        }
        // The platform joins repeated headers by a comma; of these there can be only one.
        let single = matches!(
            *name,
            "content-type"
                | "content-length"
                | "content-encoding"
                | "x-api-key"
                | "api-key"
                | "x-goog-api-key"
        );
        if single && value.contains(',') {
            let detail = format!("The header `{name}` was sent more than once.");
            return Err(Refusal::new(Code::AmbiguousHeader, detail));
        }
    }
    if head.keys.iter().flatten().any(|value| value.contains(',')) {
        let detail = "A header that carries an API key was sent more than once.";
        return Err(Refusal::new(Code::AmbiguousHeader, detail));
    }
    let named = head.named.iter().chain(head.keys);
    if named.flatten().any(|value| value.len() > MAX_HEADER) {
        let detail = format!("A header that the policy names may have at most {MAX_HEADER} bytes.");
        return Err(Refusal::new(Code::HeaderTooLarge, detail));
    }
    let Some(method) = Method::from_name(head.method) else {
        return Err(
            Refusal::new(Code::MethodUnknown, "Use one of the methods in `Allow`.")
                .header("allow", "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
        );
    };
    let (host, path, query) =
        split_url(head.url).ok_or_else(|| Refusal::new(Code::AmbiguousPath, "The URL cannot be read."))?;
    let path = canonical_path(path)?;
    if query.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        let detail = "The query holds a character that must be encoded.";
        return Err(Refusal::new(Code::AmbiguousPath, detail));
    }
    let content_length = match head.header("content-length") {
        None => None,
        Some(text) => Some(digits(text).ok_or_else(|| {
            Refusal::new(
                Code::AmbiguousHeader,
                "The header `content-length` is not a number.",
            )
        })?),
    };
    Ok(Accepted {
        method,
        host: host.to_ascii_lowercase(),
        path,
        query: query.to_owned(),
        trace: trace(head.header("traceparent"), random),
        content_length,
    })
}

/// The path of a URL that may not be acceptable, as it stands there: for the shape of its refusal.
pub(crate) fn path_of(url: &str) -> &str {
    split_url(url).map_or("", |(_, path, _)| path)
}

/// The query of a URL.
pub(crate) fn query_of(url: &str) -> &str {
    split_url(url).map_or("", |(_, _, query)| query)
}

/// Scheme, host and port of a URL; none where they hold what could end a quoted text.
pub(crate) fn server_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    let plain = authority.len() <= 300 && authority.bytes().all(plain);
    (plain && matches!(scheme, "http" | "https")).then(|| format!("{scheme}://{authority}"))
}

/// Host with its port, and path, without query and fragment.
pub(crate) fn place_of(url: &str) -> Option<(&str, &str)> {
    cut(url).map(|(authority, path, _)| (authority, path))
}

/// Host with its port, path, query.
fn cut(url: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match before.find('/') {
        Some(at) => before.split_at_checked(at)?,
        None => (before, "/"),
    };
    Some((authority, path, query))
}

/// Host without port, path, query.
fn split_url(url: &str) -> Option<(&str, &str, &str)> {
    let (authority, path, query) = cut(url)?;
    // An IPv6 address stands in brackets, and its colons are not a port's.
    let host = match authority.rfind(']') {
        Some(end) => authority.get(..=end)?,
        None => authority.split_once(':').map_or(authority, |(host, _)| host),
    };
    if host.is_empty() || authority.contains('@') {
        None
    } else {
        Some((host, path, query))
    }
}

/// A path in its one form.
pub(crate) fn canonical_path(path: &str) -> Result<String, Refusal> {
    let refuse = |detail: &'static str| Err(Refusal::new(Code::AmbiguousPath, detail));
    let mut segments = 0;
    for segment in path.split('/').skip(1) {
        segments += 1;
        if segment == "." || segment == ".." {
            return refuse("The path holds a dot segment.");
        }
    }
    if segments > MAX_SEGMENTS {
        return refuse("The path has too many segments.");
    }
    if path.contains("//") {
        return refuse("The path holds an empty segment.");
    }
    if path
        .bytes()
        .any(|byte| byte == b'\\' || byte == b';' || byte <= b' ' || byte == 0x7f)
    {
        return refuse("The path holds a character that must be encoded.");
    }
    if !path.contains('%') {
        return Ok(path.to_owned());
    }
    decode_needless(path)
}

/// Undoes the percent-encoding of characters that need none (RFC 3986, 6.2.2.2) and writes the
/// rest in capitals; refuses what would turn into a separator or a control character elsewhere.
fn decode_needless(path: &str) -> Result<String, Refusal> {
    let refuse = |detail: &'static str| Refusal::new(Code::AmbiguousPath, detail);
    let mut canonical = String::with_capacity(path.len());
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        canonical.push_str(before);
        decoded.extend_from_slice(before.as_bytes());
        let (code, tail) = after
            .split_at_checked(2)
            .ok_or_else(|| refuse("The path ends within a percent-encoded character."))?;
        let byte = u8::from_str_radix(code, 16)
            .ok()
            .filter(|_| code.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .ok_or_else(|| refuse("The path holds a `%` without two hexadecimal digits."))?;
        match byte {
            b'/' | b'\\' | b'%' => {
                return Err(refuse("The path holds an encoded separator."));
            }
            0..=0x1f | 0x7f => return Err(refuse("The path holds an encoded control character.")),
            // Some servers cut a segment at it: `..;` is `..` to them.
            b';' => return Err(refuse("The path holds an encoded semicolon.")),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                canonical.push(char::from(byte));
            }
            _ => {
                canonical.push('%');
                canonical.push_str(&code.to_ascii_uppercase());
            }
        }
        decoded.push(byte);
        rest = tail;
    }
    canonical.push_str(rest);
    decoded.extend_from_slice(rest.as_bytes());
    if std::str::from_utf8(&decoded).is_err() {
        return Err(refuse("The path is not UTF-8."));
    }
    if canonical
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err(refuse("The path holds an encoded dot segment."));
    }
    Ok(canonical)
}

/// A number written in decimal digits alone: no sign, no space.
pub fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Continues the caller's trace where it is valid, begins a new one otherwise.
fn trace(traceparent: Option<&str>, random: &Random) -> Trace {
    let mut trace = Trace {
        id: random.trace,
        span: random.span,
        flags: 0,
        continued: false,
    };
    if let Some((id, flags)) = traceparent.and_then(parse_traceparent) {
        trace.id = id;
        trace.flags = flags;
        trace.continued = true;
    }
    trace
}

fn parse_traceparent(text: &str) -> Option<([u8; 16], u8)> {
    let mut parts = text.split('-');
    let version = hex_bytes::<1>(parts.next()?)?;
    let id = hex_bytes::<16>(parts.next()?)?;
    let parent = hex_bytes::<8>(parts.next()?)?;
    let flags = hex_bytes::<1>(parts.next()?)?;
    let valid =
        version != [0xff] && id != [0; 16] && parent != [0; 8] && (version != [0] || parts.next().is_none());
    // Of the flags, only "sampled" and "random" have a meaning in version 00.
    if valid {
        Some((id, flags.first().copied().unwrap_or(0) & 3))
    } else {
        None
    }
}

/// Lower-case hexadecimal digits, exactly enough for `N` bytes.
fn hex_bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower = text
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != N * 2 || !lower {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> usize {
        let mut names = crate::step::HEAD_NAMES.iter();
        names.position(|known| *known == name).expect(name)
    }

    fn head(url: &str) -> Result<Accepted, Refusal> {
        accept(
            &Head {
                method: "GET",
                url,
                ..Head::default()
            },
            &Random {
                span: [7; 8],
                ..Random::default()
            },
        )
    }

    #[test]
    fn paths_are_canonical_or_refused() {
        for (path, canonical) in [
            ("/", "/"),
            ("/pets", "/pets"),
            ("/pets/", "/pets/"),
            ("/p%65ts", "/pets"),
            ("/pets/%c3%a9", "/pets/%C3%A9"),
            ("/a%20b", "/a%20b"),
        ] {
            let accepted = head(&format!("https://api.example{path}?x=1")).expect(path);
            assert_eq!(accepted.path, canonical);
            assert_eq!(accepted.query, "x=1");
            assert_eq!(accepted.host, "api.example");
        }
        for path in [
            "/a//b",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a/..%3b",
            "/a%3Bb/c",
            "/a\\b",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/%ff",
            "/%2e%2e/x",
            "/./x",
            "/a;b=c",
            "/%252f",
            "/a b",
        ] {
            let refusal = head(&format!("https://api.example{path}")).expect_err(path);
            assert_eq!(refusal.code, Code::AmbiguousPath, "{path}");
        }
    }

    #[test]
    fn hosts_lose_their_port() {
        for (url, host) in [
            ("http://127.0.0.1:8787/x", "127.0.0.1"),
            ("http://[::1]:8787/x", "[::1]"),
            ("https://API.Example", "api.example"),
        ] {
            assert_eq!(head(url).expect(url).host, host);
        }
        assert!(head("https://user@api.example/").is_err());
    }

    #[test]
    fn traces_are_continued_only_when_valid() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut request = Head {
            method: "GET",
            url: "https://a/",
            ..Head::default()
        };
        let with = |value: &'static str, request: &mut Head<'_>| {
            request.headers[place("traceparent")] = Some(value);
            accept(
                request,
                &Random {
                    span: [7; 8],
                    ..Random::default()
                },
            )
            .expect("accepted")
            .trace
        };
        let trace = with(good, &mut request);
        assert!(trace.continued);
        assert_eq!(
            trace.parent(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01"
        );
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!with(bad, &mut request).continued, "{bad}");
        }
    }

    #[test]
    fn headers_that_can_be_read_twice_are_refused() {
        for (name, value) in [
            ("content-type", "application/json, text/plain"),
            ("content-length", "1, 2"),
            ("content-length", "+5"),
            ("x-api-key", "a,b"),
            ("api-key", "a,b"),
            ("x-goog-api-key", "a,b"),
        ] {
            let mut request = Head {
                method: "POST",
                url: "https://a/",
                ..Head::default()
            };
            request.headers[place(name)] = Some(value);
            let refusal = accept(&request, &Random::default()).expect_err(value);
            assert_eq!(refusal.code, Code::AmbiguousHeader);
        }
    }

    #[test]
    fn unknown_methods_and_long_urls_are_refused() {
        let request = Head {
            method: "TRACE",
            url: "https://a/",
            ..Head::default()
        };
        assert_eq!(
            accept(&request, &Random::default()).expect_err("TRACE").code,
            Code::MethodUnknown
        );
        let long = format!("https://a/{}", "x".repeat(MAX_URL));
        assert_eq!(head(&long).expect_err("long").code, Code::UriTooLong);
    }
}
