//! By which path an operation is called.

/// The path by which an operation is called: that of its document, below that of its version. The routes are made
/// of segments, so `/` of a document is the version's own path, and `/s/v1/` is no path of the gateway.
#[must_use]
pub fn called(base: &str, path: &str) -> String {
    let mut called = String::with_capacity(base.len() + path.len());
    for segment in segments(base).chain(segments(path)) {
        called.push('/');
        called.push_str(segment);
    }
    if called.is_empty() {
        called.push('/');
    }
    called
}

/// The segments of a path, of which the routes are made.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_operation_is_that_of_its_route() {
        for (base, path, right) in [
            ("/s/v1", "/", "/s/v1"),
            ("/s/v1", "", "/s/v1"),
            ("/s/v1", "/pets/{petId}", "/s/v1/pets/{petId}"),
            ("/s/v1", "/pets/", "/s/v1/pets"),
            ("", "/", "/"),
        ] {
            assert_eq!(called(base, path), right, "{base} {path}");
        }
    }
}
