//! Cross-origin calls (the Fetch standard): which pages may call, and what they may see.
//!
//! Without `cors` in the policy no page of another origin may call; other clients are unaffected,
//! as only browsers ask.

use std::borrow::Cow;

use turnpike_policy::{Cors, Method};

use crate::error::{Code, Refusal};
use crate::matching::Methods;
use crate::step::Finish;

type Headers = Vec<(Cow<'static, str>, String)>;

/// Whether pages of this origin may call.
pub(crate) fn allows(cors: Option<&Cors>, origin: &str) -> bool {
    cors.is_some_and(|cors| {
        cors.origins
            .iter()
            .any(|allowed| allowed == "*" || allowed == origin)
    })
}

/// The answer to a preflight for a path with these methods.
pub(crate) fn preflight(
    cors: Option<&Cors>,
    origin: &str,
    wanted: &str,
    methods: &Methods,
) -> Result<Finish, Refusal> {
    let Some(cors) = cors.filter(|cors| allows(Some(cors), origin)) else {
        let detail = format!("Pages of {} may not call.", shown(origin));
        return Err(Refusal::new(Code::OriginNotAllowed, detail));
    };
    let allow = methods.allow();
    let known = Method::from_name(wanted)
        .is_some_and(|wanted| allow.split(", ").any(|method| method == wanted.name()));
    if !known {
        let detail = format!("The path takes {allow}.");
        return Err(Refusal::new(Code::MethodNotAllowed, detail).header("allow", allow));
    }
    let mut set = vec![
        (
            Cow::Borrowed("access-control-allow-origin"),
            allowed_origin(cors, origin),
        ),
        (Cow::Borrowed("access-control-allow-methods"), allow),
        (Cow::Borrowed("access-control-max-age"), cors.max_age.to_string()),
        (
            Cow::Borrowed("vary"),
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers".to_owned(),
        ),
    ];
    if !cors.headers.is_empty() {
        set.push((
            Cow::Borrowed("access-control-allow-headers"),
            cors.headers.join(", "),
        ));
    }
    Ok(Finish {
        status: 204,
        set,
        ..Finish::default()
    })
}

/// What an answer to a page of this origin carries, or to a client that names none: a cache that keeps that must not
/// show it to a page, as nothing in it says that the page may see it.
pub(crate) fn decorate(cors: Option<&Cors>, origin: Option<&str>, set: &mut Headers) {
    if origin.is_none() && cors.is_none() {
        return;
    }
    set.push((Cow::Borrowed("vary"), "Origin".to_owned()));
    let Some((origin, cors)) = origin
        .zip(cors)
        .filter(|(origin, cors)| allows(Some(cors), origin))
    else {
        return;
    };
    set.push((
        Cow::Borrowed("access-control-allow-origin"),
        allowed_origin(cors, origin),
    ));
    if !cors.expose.is_empty() {
        set.push((
            Cow::Borrowed("access-control-expose-headers"),
            cors.expose.join(", "),
        ));
    }
}

fn allowed_origin(cors: &Cors, origin: &str) -> String {
    let every = cors.origins.iter().any(|allowed| allowed == "*");
    if every { "*".to_owned() } else { origin.to_owned() }
}

fn shown(origin: &str) -> String {
    origin.chars().filter(|c| !c.is_control()).take(120).collect()
}
