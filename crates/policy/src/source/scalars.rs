//! What a scalar can be: names, texts, numbers, headers, URLs, dates.

use super::addresses;
use super::diagnostic::Code;
use super::hidden;
use super::look_alikes;
use super::reader::{Fault, Scalar};
use super::secrets::quote;
use super::units;
use crate::{Millis, Timestamp, Window};

/// Declares a type that is a checked text.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident($inner:ty) $expects:literal $(, $flag:ident = $value:literal)* => $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl Scalar for $name {
            const EXPECTS: &'static str = $expects;
            $(const $flag: bool = $value;)*

            fn parse(text: &str) -> Result<Self, Fault> {
                let parse: fn(&str) -> Result<$inner, Fault> = $parse;
                parse(text).map(Self)
            }
        }
    };
}

text!(
    /// The name of an item.
    Name(String) "a name" => |text| {
        let mut bytes = text.bytes();
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let good = bytes.next().is_some_and(ok) && bytes.all(|b| ok(b) || b"._-".contains(&b));
        if good && text.len() <= 64 && !text.ends_with('.') {
            return Ok(text.to_owned());
        }
        let near: String = look_alikes::plain(text)
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .collect();
        let near = near.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
        let fault = Fault::new(Code::BadName, format!("{} is not a name{}", quote(text), look_alikes::told(text)));
        Err(if text.contains("://") {
            fault.help("this is a URL: write what the policies call it by, a name")
        } else if near.is_empty() || near.len() > 64 || quote(text) == "this value" {
            fault.help("names are lower case letters, digits, `.`, `_` and `-`")
        } else {
            fault.help(format!("names are lower case letters, digits, `.`, `_` and `-`: for example `{near}`"))
        })
    }
);

text!(
    /// A line of text for people.
    Text(String) "text" => |text| {
        if text.trim().is_empty() {
            return Err(Fault::new(Code::BadText, "expected text, found an empty one"));
        }
        if text.len() > 4096 {
            return Err(Fault::new(Code::BadText, "the text is longer than 4096 bytes"));
        }
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(Fault::new(Code::BadText, "the text holds a control character"));
        }
        if let Some((_, c)) = hidden::in_text(text) {
            return Err(unseen(text, c));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// A text that is sent, and may be empty or of several lines.
    Body(String) "text" => |text| {
        if text.len() > 256 * 1024 {
            return Err(Fault::new(Code::BadText, "the text is longer than 256 KiB"));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// What stands before a secret in a header.
    Prefix(String) "text that may stand in a header" => |text| {
        if text.len() <= 64 && text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Ok(text.to_owned());
        }
        Err(Fault::new(Code::BadText, "expected at most 64 printable ASCII characters"))
    }
);

text!(
    /// An identifier of somebody else's: a claim's value, a scope, a model's or an operation's name.
    Token(String) "a word without spaces" => |text| {
        if let Some(c) = hidden::in_name(text) {
            return Err(unseen(text, c));
        }
        if !text.is_empty() && text.len() <= 256 && text.chars().all(|c| !c.is_control() && !c.is_whitespace()) {
            return Ok(text.to_owned());
        }
        Err(Fault::new(Code::BadText, format!("{} is not a word without spaces of at most 256 bytes", quote(text))))
    }
);

text!(
    /// A scope (RFC 6749, 3.3).
    Scope(String) "a scope" => |text| {
        let good = |b: u8| b == 0x21 || (0x23..=0x5b).contains(&b) || (0x5d..=0x7e).contains(&b);
        if !text.is_empty() && text.len() <= 256 && text.bytes().all(good) {
            return Ok(text.to_owned());
        }
        Err(Fault::new(Code::BadText, format!("{} is not a scope", quote(text)))
            .help("a scope is one word of printable ASCII characters, without quotes and backslashes"))
    }
);

text!(
    /// The name of a Worker secret.
    SecretName(String) "the name of a Worker secret such as `OPENAI_API_KEY`", SHOWN = false => |text| {
        let mut bytes = text.bytes();
        let good = bytes.next().is_some_and(|b| b.is_ascii_uppercase())
            && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if good && text.len() <= 64 {
            return Ok(text.to_owned());
        }
        Err(Fault::new(Code::BadSecretName, "this is not the name of a Worker secret")
            .help("write its name in upper case letters, digits and `_`, for example `OPENAI_API_KEY`; never its value"))
    }
);

text!(
    /// The SHA-256 of an API key.
    Sha256([u8; 32]) "the SHA-256 of a key, 64 hexadecimal digits", SHOWN = false => |text| {
        let mut hash = [0; 32];
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.filter(|digits| digits.len() == 64);
        let Some(digits) = digits else {
            return Err(Fault::new(Code::BadHash, "this is not a SHA-256 of 64 hexadecimal digits")
                .help("write the hash of the key, never the key: `printf %s \"$KEY\" | sha256sum`"));
        };
        for (slot, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *slot = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(hash)
    }
);

text!(
    /// The name of a header, in lower case.
    Header(String) "the name of a header" => |text| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if !text.is_empty() && text.len() <= 128 && text.bytes().all(good) {
            return Ok(text.to_ascii_lowercase());
        }
        Err(Fault::new(Code::BadHeader, format!("{} is not the name of a header", quote(text))))
    }
);

text!(
    /// A host name, in lower case, without port.
    Host(String) "a host name such as `api.example.com`" => |text| {
        let bad = || Fault::new(Code::BadUrl, format!("{} is not a host name", quote(text)))
            .help("write it without scheme, port and path, for example `api.example.com`");
        let lower = text.to_ascii_lowercase();
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-') && !label.ends_with('-')
        };
        if lower.len() <= 253 && lower.split('.').all(label) { Ok(lower) } else { Err(bad()) }
    }
);

text!(
    /// An origin as browsers send it, or `*`.
    Origin(String) "an origin such as `https://app.example.com`, or `*`" => |text| {
        let bad = || Fault::new(Code::BadUrl, format!("{} is not an origin", quote(text)))
            .help("write scheme and host as a browser sends them, for example `https://app.example.com`, without a path or a trailing slash");
        if text == "*" {
            return Ok(text.to_owned());
        }
        let url = Url::parse(text).map_err(|_| bad())?;
        if !url.path().is_empty() || text.ends_with('/') || text.to_ascii_lowercase() != text {
            return Err(bad());
        }
        Ok(text.to_owned())
    }
);

text!(
    /// A URL with http or https, without query, without a trailing slash.
    Url(String) "a URL such as `https://api.example.com/v1`" => |text| {
        let bad = |why: &str| Fault::new(Code::BadUrl, format!("{} is not a URL: {why}", quote(text)));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("it has no scheme").help("write for example `https://api.example.com/v1`"));
        };
        if !matches!(scheme, "http" | "https") {
            return Err(bad("its scheme is neither `https` nor `http`"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.len() > 2048 {
            return Err(bad("it holds a space or a character that must be encoded"));
        }
        if rest.contains(['?', '#']) {
            return Err(bad("it must have no query and no fragment"));
        }
        let authority = rest.split('/').next().unwrap_or("");
        if authority.contains('@') {
            return Err(Fault::new(Code::BadUrl, "the URL holds credentials")
                .help("credentials are Worker secrets, named by `upstream_credential` or `secret`"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let ip6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good_host = match ip6 {
            Some(ip6) => ip6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => Host::parse(host).is_ok(),
        };
        if !good_host {
            return Err(bad("its host is malformed"));
        }
        // Readers differ in what such a number is: some take `010` for ten, and whoever fetches takes it for eight.
        match addresses::Host::read(&host.to_ascii_lowercase()) {
            addresses::Host::Address(address) if ip6.is_none() && address.to_string() != host => {
                return Err(bad("its host is an address that looks like something else")
                    .help(format!("whoever fetches goes to {address}: write {}", quote(&address.to_string()))));
            }
            addresses::Host::Neither => {
                return Err(bad("its host ends in a number and is no address")
                    .help("an address is four decimal numbers up to 255, for example `192.0.2.7`"));
            }
            _ => {}
        }
        if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(bad("its port is malformed"));
        }
        let path = rest.strip_prefix(authority).unwrap_or("");
        // Whoever reads the URL takes an encoded dot for a dot (WHATWG URL, 4.4).
        let dots = path.to_ascii_lowercase().replace("%2e", ".");
        if dots.split('/').any(|segment| matches!(segment, "." | "..")) || path.contains("//") || path.contains('\\') {
            return Err(bad("its path holds `..`, `.` or `//`"));
        }
        Ok(format!("{scheme}://{}{}", authority.to_ascii_lowercase(), path.trim_end_matches('/')))
    }
);

impl Url {
    /// Whether it is reached with TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Its path, empty if it has none.
    pub(crate) fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("")
    }
}

text!(
    /// The path under which an API lies.
    BasePath(String) "a path such as `/petstore`" => |text| {
        let bad = |why: &str| Fault::new(Code::BadPath, format!("{} is not the path of an API: {why}", quote(text)));
        let Some(rest) = text.strip_prefix('/') else {
            return Err(bad("it does not begin with `/`").help(format!("write {}", quote(&format!("/{text}")))));
        };
        if text.len() > 256 {
            return Err(Fault::new(Code::BadPath, "the path of an API has at most 256 bytes"));
        }
        if text.ends_with('/') {
            let near = text.trim_end_matches('/');
            let fault = bad("it ends with `/`");
            return Err(if near.is_empty() { fault } else { fault.help(format!("write {}", quote(near))) });
        }
        if rest.starts_with('_') || rest.starts_with('.') {
            return Err(Fault::new(Code::ReservedPath, format!("{} is kept for the gateway itself", quote(text)))
                .help("paths that begin with `_` or `.` belong to the gateway"));
        }
        match rest.split('/').try_for_each(|segment| Name::parse(segment).map(|_| ())) {
            Ok(()) => Ok(text.to_owned()),
            Err(_) => Err(bad("its segments are not names").help("segments are lower case letters, digits, `.`, `_` and `-`")),
        }
    }
);

text!(
    /// A file below the folder that names it.
    FilePath(String) "the path of a file" => |text| {
        let bad = |code, why: &str| Fault::new(code, format!("{} is not the path of a file: {why}", quote(text)));
        if text.starts_with('/') || text.contains('\\') || text.split('/').any(|part| part == "..") {
            return Err(bad(Code::LeavesTree, "it leads out of the folder"));
        }
        if text.chars().any(char::is_control) {
            return Err(bad(Code::BadPath, "it holds control characters"));
        }
        if text.contains("://") {
            let fault = bad(Code::BadPath, "it is a URL");
            return Err(fault.help("put a copy beside this file, and write its name: nothing is fetched by a build"));
        }
        if let Some(rest) = text.strip_prefix("./") {
            return Err(bad(Code::BadPath, "it begins with `./`").help(format!("write {}", quote(rest))));
        }
        if text.is_empty() || text.len() > 512 || text.split('/').any(|part| part.is_empty() || part == ".") {
            return Err(bad(Code::BadPath, "it is malformed"));
        }
        Ok(text.to_owned())
    }
);

text!(
    /// A span of time in milliseconds.
    Duration(Millis) "a duration such as `30s`" => |text| units::duration(text).map_err(unit)
);
text!(
    /// A number of bytes.
    Size(u64) "a size such as `10MiB`" => |text| units::size(text).map_err(unit)
);
text!(
    /// So many in a period.
    PerPeriod((u32, Millis)) "a rate such as `600/min`" => |text| units::rate(text).map_err(unit)
);
text!(
    /// So many in a calendar window.
    PerWindow((u64, Window)) "a quota such as `1_000_000/month`" => |text| units::quota(text).map_err(unit)
);
text!(
    /// So much money in a calendar window, in nano-USD.
    MoneyPerWindow((u64, Window)) "money in a window such as `50 USD/month`" => |text| units::spend(text).map_err(unit)
);
text!(
    /// So many bytes in a calendar window.
    BytesPerWindow((u64, Window)) "a size in a window such as `10GiB/day`" => |text| units::bytes(text).map_err(unit)
);
text!(
    /// A price, in nano-USD for a million tokens.
    TokenPrice(u64) "a price such as `1.25 USD/Mtok`" => |text| units::token_price(text).map_err(unit)
);
text!(
    /// A day or an instant.
    Date(Timestamp) "a date such as `2027-06-30`" => |text| {
        units::date(text).map_err(|(message, help)| Fault { code: Code::BadDate, message, help })
    }
);
text!(
    /// True or false.
    Flag(bool) "`true` or `false`", PLAIN = true => |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => {
            let fault = Fault::new(Code::WrongType, format!("expected `true` or `false`, found {}", quote(text)));
            Err(match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => fault.help("YAML 1.2 has no such boolean: write `true`"),
                "no" | "off" | "n" => fault.help("YAML 1.2 has no such boolean: write `false`"),
                _ => fault,
            })
        }
    }
);

/// A text with a character that nobody sees.
fn unseen(text: &str, c: char) -> Fault {
    Fault::new(
        Code::BadText,
        format!("{} holds {}", quote(text), hidden::told(c)),
    )
    .help(hidden::REMEDY)
}

fn unit((message, help): units::Wrong) -> Fault {
    Fault {
        code: Code::BadUnit,
        message,
        help,
    }
}

/// A whole number between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(pub(crate) u32);

impl<const MIN: u32, const MAX: u32> Scalar for Number<MIN, MAX> {
    const EXPECTS: &'static str = "a whole number";
    const PLAIN: bool = true;

    fn schema() -> serde_json::Value {
        super::schema::number(MIN, MAX)
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let number = units::integer(text).map_err(|(message, help)| Fault {
            code: Code::WrongType,
            message,
            help,
        })?;
        match u32::try_from(number)
            .ok()
            .filter(|number| (MIN..=MAX).contains(number))
        {
            Some(number) => Ok(Self(number)),
            None => Err(Fault::new(
                Code::OutOfRange,
                format!("expected a number from {MIN} to {MAX}, found {}", quote(text)),
            )
            .help(format!("write one from {MIN} to {MAX}"))),
        }
    }
}
