//! Names that were misspelt, and what was probably meant.

use super::look_alikes;
use super::secrets::quote;
use super::yaml::Node;

/// How many names are listed where none is near.
const MAX_LISTED: usize = 12;
/// With so many words a name is compared, to find out what was meant.
const MAX_COMPARED: usize = 5_000;

/// The known word that is nearest to what was written, if it is near: a typo or two away, or the
/// only one that begins with it (`prod` for `production`) or that it begins with (`jwks_uri` for `jwks`).
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let length = name.chars().count();
    if length > 64 {
        return None;
    }
    let allowed = (length / 3).max(1);
    let name = look_alikes::plain(name).to_lowercase();
    let mut nearest: Option<(usize, &str)> = None;
    let mut longer: Vec<&str> = Vec::new();
    let mut shorter: Vec<&str> = Vec::new();
    for word in known.take(MAX_COMPARED) {
        let lower = word.to_lowercase();
        if length >= 3 && lower.starts_with(&name) {
            longer.push(word);
        }
        // As others call it: `jwks_uri`, `max_body_size`.
        let rest = name.strip_prefix(lower.as_str()).filter(|_| lower.len() >= 4);
        if rest.is_some_and(|rest| rest.starts_with('_')) {
            shorter.push(word);
        }
        if lower.len().abs_diff(name.len()) > allowed {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&name, &lower);
        let near = distance <= allowed && distance < lower.chars().count();
        if near && nearest.is_none_or(|best| (distance, word) < best) {
            nearest = Some((distance, word));
        }
    }
    match (nearest, longer.as_slice(), shorter.as_slice()) {
        (Some((_, word)), ..) => Some(word),
        (None, [only], _) | (None, [], [only]) => Some(*only),
        _ => None,
    }
}

/// What would help where a name stands for nothing that is known.
pub(crate) fn remedy<'k>(name: &str, what: &str, known: impl Iterator<Item = &'k str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean {}?", quote(near));
    }
    let mut all: Vec<_> = known.take(MAX_LISTED + 1).map(quote).collect();
    if let Some(more) = all.get_mut(MAX_LISTED) {
        "others".clone_into(more);
    }
    match all.split_last() {
        None => match home(what, name) {
            Some(file) => format!("there is no {what} here at all: write `{file}`"),
            None => format!("there is no {what} here at all"),
        },
        Some((only, [])) => format!("there is only {only}"),
        Some((last, rest)) => format!("there are {} and {last}", rest.join(", ")),
    }
}

/// The file in which something of a kind is written.
fn home(what: &str, name: &str) -> Option<String> {
    let folder = match what {
        "API" => return Some(format!("apis/{name}/api.yaml")),
        "plan" => "plans",
        "provider" => "providers",
        "model" => "models",
        "mock" => "mocks",
        "consumer" => "consumers",
        "template" => "templates",
        _ => return None,
    };
    Some(format!("{folder}/{name}.yaml"))
}

/// The value under a key that was probably meant to be another.
pub(crate) fn misspelt<'n>(node: &'n Node, field: &'static str) -> Option<&'n Node> {
    node.entries()
        .iter()
        .find(|(key, _)| {
            key.text()
                .is_some_and(|key| nearest(key, [field].into_iter()).is_some())
        })
        .map(|(_, value)| value)
}
