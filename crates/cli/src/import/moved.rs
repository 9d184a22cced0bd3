//! Where calls are now, if not where callers knew them.

use super::Import;

/// A call as it was known, and what its path is below the API.
pub(super) struct Move<'a> {
    pub(super) at: &'a str,
    pub(super) method: &'a str,
    pub(super) public: &'a str,
    pub(super) below: &'a str,
}

/// Lists what has moved: one line for all that lies below one prefix.
pub(super) fn list(base: &str, moves: &[Move<'_>], import: &mut Import) {
    let mut groups: Vec<(Option<&str>, Vec<&Move<'_>>)> = Vec::new();
    for one in moves {
        let public = one.public.trim_end_matches('/');
        let prefix = match one.below {
            "/" => Some(public),
            below => public.strip_suffix(below),
        };
        if prefix == Some(base) {
            continue;
        }
        let same = groups.iter_mut().find(|(known, all)| match prefix {
            Some(_) => *known == prefix,
            // What is asked of the upstream by another path moves by itself, with all its methods.
            None => {
                known.is_none()
                    && all
                        .iter()
                        .all(|other| other.public == one.public && other.below == one.below)
            }
        });
        match same {
            Some((_, all)) => all.push(one),
            None => groups.push((prefix, vec![one])),
        }
    }
    for (prefix, all) in groups {
        let Some(first) = all.first() else { continue };
        let alone = all
            .iter()
            .all(|one| one.public == first.public && one.below == first.below);
        match prefix {
            Some(prefix) if !alone => import.leave(
                first.at,
                format!("what was called as {prefix}/... is called as {base}/... here"),
            ),
            _ => {
                let methods: Vec<_> = all.iter().map(|one| one.method).collect();
                let public = if first.public.is_empty() {
                    "/"
                } else {
                    first.public
                };
                import.leave(
                    first.at,
                    format!(
                        "{} {public} is called as {} here",
                        methods.join(", "),
                        turnpike_policy::called(base, first.below)
                    ),
                );
            }
        }
    }
}
