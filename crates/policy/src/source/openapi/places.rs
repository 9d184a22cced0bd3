//! Which places a document may have: what OpenAPI lets its objects hold, followed along a path.

use std::collections::BTreeSet;

use super::super::governance::Lost;
use super::grammar::{self, Holds, Kind, Others};

/// What may stand in a place.
#[derive(Clone, Copy)]
enum Place {
    One(&'static Kind),
    List(&'static Kind),
    Map(&'static Kind),
    /// What OpenAPI does not judge, or this gateway does not use.
    Anything,
}

impl Place {
    /// What tells it from another one: in which way it holds a kind, and which.
    fn key(self) -> (u8, Option<*const Kind>) {
        match self {
            Self::Anything => (0, None),
            Self::One(kind) => (1, Some(std::ptr::from_ref(kind))),
            Self::List(kind) => (2, Some(std::ptr::from_ref(kind))),
            Self::Map(kind) => (3, Some(std::ptr::from_ref(kind))),
        }
    }
}

impl From<Holds> for Place {
    fn from(holds: Holds) -> Self {
        match holds {
            Holds::Data => Self::Anything,
            Holds::One(kind) => Self::One(kind),
            Holds::List(kind) => Self::List(kind),
            Holds::Map(kind) => Self::Map(kind),
        }
    }
}

/// Looks for a place in documents; keys with `*` for every one of them.
pub(crate) fn find(path: &[String]) -> Result<(), Lost> {
    let mut here = vec![Place::One(&grammar::DOCUMENT)];
    for (part, name) in path.iter().enumerate() {
        let next = step(&here, name);
        if next.is_empty() {
            let fields = here.iter().filter_map(|place| match place {
                Place::One(kind) => Some(kind.fields.iter().map(|(field, _)| (*field).to_owned())),
                _ => None,
            });
            return Err(Lost {
                part,
                known: fields.flatten().collect(),
                list: here.iter().any(|place| matches!(place, Place::List(_))),
            });
        }
        if next.iter().any(|place| matches!(place, Place::Anything)) {
            return Ok(());
        }
        here = next;
    }
    Ok(())
}

/// What stands under a key of any of these places, each once: kinds hold each other in circles, and a few
/// `*` would come by more ways than can be counted.
fn step(here: &[Place], name: &str) -> Vec<Place> {
    let mut next: Vec<_> = here.iter().flat_map(|place| below(*place, name)).collect();
    let judged = |place: &Place| !matches!(place, Place::Anything);
    // Beside what is told apart, texts and the like are not what `*` is for.
    if name == "*" && next.iter().any(judged) {
        next.retain(judged);
    }
    let mut seen = BTreeSet::new();
    next.retain(|place| seen.insert(place.key()));
    next
}

fn below(place: Place, name: &str) -> Vec<Place> {
    match place {
        Place::Anything => vec![place],
        Place::Map(kind) => vec![Place::One(kind)],
        Place::List(kind) if name == "*" => vec![Place::One(kind)],
        Place::List(_) => Vec::new(),
        Place::One(kind) => {
            let others = match kind.others {
                Others::Unknown => None,
                Others::Open => Some(Place::Anything),
                Others::Each(of) => Some(Place::One(of)),
            };
            if name == "*" {
                let fields = kind.fields.iter().map(|(_, holds)| Place::from(*holds));
                return fields.chain(others).collect();
            }
            let extension = name.starts_with("x-") || (kind.reference && name == "$ref");
            let own = kind.field(name).map(Place::from);
            own.or_else(|| extension.then_some(Place::Anything))
                .or(others)
                .into_iter()
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_multiply_along_a_path() {
        let mut here = vec![Place::One(&grammar::DOCUMENT)];
        for part in 1..=32 {
            here = step(&here, "*");
            // There are some thirty kinds, each of which is held in three ways at the most.
            assert!(!here.is_empty(), "nothing at {part}");
            assert!(here.len() < 100, "{} places at {part}", here.len());
        }
    }
}
