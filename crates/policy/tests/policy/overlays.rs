//! Values that differ by environment.

use turnpike_policy::{Compiled, Handler, ProviderKind};

use crate::common::{Files, base, build, build_with_rules, lines};

const DEV: &str = "\
vars: { region: eu }
hosts: [localhost]
upstreams:
  pets: https://pets.${region}.dev.example/
  house: https://house.dev.example/v1
";
const PRODUCTION: &str = "\
hosts: [api.example.com, api.example.org]
upstreams:
  pets: https://pets.example
  house: https://house.example/v1
";

/// The base tree; its API and its provider are reached by the names of their upstreams.
fn tree(dev: &str, production: &str) -> Files {
    let mut files = base();
    let pets = files["apis/pets/api.yaml"].replace("https://pets.example", "pets");
    files.insert("apis/pets/api.yaml".to_owned(), pets);
    let provider = "provider: house\nwire: openai\nbase_url: house\n";
    files.insert("providers/house.yaml".to_owned(), provider.to_owned());
    let model = "model: chat\nowner: team\ntargets:\n  - { to: house/chat }\n";
    files.insert("models/chat.yaml".to_owned(), model.to_owned());
    files.remove("providers/openai.yaml");
    files.insert("environments/dev.yaml".to_owned(), dev.to_owned());
    files.insert("environments/production.yaml".to_owned(), production.to_owned());
    files
}

fn where_things_are(compiled: &Compiled) -> (Vec<&str>, &str, &str) {
    let Handler::Proxy { url, .. } = &compiled.operations[0].handler else {
        panic!("it is proxied");
    };
    let ProviderKind::OpenAi { base_url, .. } = &compiled.providers[0].kind else {
        panic!("it is reached");
    };
    let hosts = compiled.gateway.hosts.iter().map(String::as_str).collect();
    (hosts, url, base_url)
}

#[test]
fn hosts_and_upstreams_are_those_of_the_environment() {
    let files = tree(DEV, PRODUCTION);
    let dev = build(&files, "dev");
    assert_eq!(lines(&dev), Vec::<String>::new());
    let dev = dev.compiled.unwrap();
    assert_eq!(
        where_things_are(&dev),
        (
            vec!["localhost"],
            "https://pets.eu.dev.example",
            "https://house.dev.example/v1"
        )
    );
    let production = build_with_rules(&files, "production");
    assert!(
        !lines(&production).iter().any(|line| line.contains("P1001")),
        "its hosts are named"
    );
    assert_eq!(
        where_things_are(&production.compiled.unwrap()),
        (
            vec!["api.example.com", "api.example.org"],
            "https://pets.example",
            "https://house.example/v1"
        )
    );
}

#[test]
fn a_name_is_its_url() {
    let mut written = tree(DEV, PRODUCTION);
    let named = build(&written, "production").bundle.unwrap().1;
    for (path, name, url) in [
        (
            "apis/pets/api.yaml",
            "upstream: pets",
            "upstream: https://pets.example",
        ),
        (
            "providers/house.yaml",
            "base_url: house",
            "base_url: https://house.example/v1",
        ),
    ] {
        let text = written[path].replace(name, url);
        written.insert(path.to_owned(), text);
    }
    written.insert(
        "environments/production.yaml".to_owned(),
        "hosts: [api.example.org, api.example.com]\n".to_owned(),
    );
    assert_eq!(build(&written, "production").bundle.unwrap().1, named);
}

/// What is missing in one environment fails that one's build, and no other.
#[test]
fn what_is_missing_is_missing_there_alone() {
    let lacking = PRODUCTION.replace("  pets: https://pets.example\n", "");
    let files = tree(DEV, &lacking);
    assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new());
    assert_eq!(
        lines(&build(&files, "production")),
        [
            "apis/pets/api.yaml:9:15: error[P0211]: the environment `production` says of no upstream `pets` where it is"
        ]
    );

    let mut files = tree(
        DEV,
        "upstreams: { pets: https://a.example, house: https://b.example }\n",
    );
    assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new());
    assert_eq!(
        lines(&build(&files, "production")),
        ["environments/production.yaml:1:1: error[P0202]: the hosts of `production` are not named"]
    );
    files.remove("environments/production.yaml");
    let found = lines(&build(&files, "production"));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found.contains(&"gateway.yaml:1:1: error[P0202]: the hosts of `production` are not named".to_owned())
    );
}

#[test]
fn what_is_wrong_is_told_once_and_where() {
    let misspelt = DEV.replace("  pets:", "  pest:");
    let cases = [
        (
            misspelt.as_str(),
            vec![
                "apis/pets/api.yaml:9:15: error[P0211]: the environment `dev` says of no upstream `pets` where it is",
            ],
        ),
        (
            "hosts: [localhost]\nupstreams: { pets: 'ftp://pets.example', house: https://a.example }\n",
            vec![
                "environments/dev.yaml:2:20: error[P0212]: `ftp://pets.example` is not a URL: its scheme is neither `https` nor `http`",
            ],
        ),
        (
            "hosts: [localhost]\nupstreams: { pets: https://a.example, house: https://b.example }\nlimits: []\n",
            vec!["environments/dev.yaml:3:1: error[P0201]: unknown field `limits`"],
        ),
        (
            "hosts: []\nupstreams: { pets: https://a.example, house: https://b.example }\n",
            vec!["environments/dev.yaml:1:8: error[P0208]: no host is named"],
        ),
        (
            "hosts: [localhost]\nupstreams: { pets: http://a.example, house: https://b.example }\n",
            vec!["apis/pets/api.yaml:9:15: error[P0405]: this upstream is reached without TLS"],
        ),
        (
            "hosts: [localhost]\nupstreams: { pets: https://a.example, house: https://b.example, other: https://c.example }\n",
            vec!["environments/dev.yaml:2:72: warning[P0010]: nothing reaches the upstream `other`"],
        ),
        (
            "hosts: [localhost]\nupstreams: [pets]\n",
            vec![
                "environments/dev.yaml:2:12: error[P0203]: expected a map from names, each to a URL such as `https://api.example.com/v1`, found a list",
            ],
        ),
        (
            "hosts: [localhost]\nvars: 5\nupstreams: { pets: 'https://${a}.example', house: https://b.example }\n",
            vec![
                "environments/dev.yaml:2:7: error[P0203]: expected a map from names to texts, found a number",
            ],
        ),
    ];
    for (dev, expected) in cases {
        assert_eq!(lines(&build(&tree(dev, PRODUCTION), "dev")), expected, "{dev}");
    }
    let mut both = tree(DEV, PRODUCTION);
    let gateway = both["gateway.yaml"].replace("issuers:", "hosts: [api.example.net]\nissuers:");
    both.insert("gateway.yaml".to_owned(), gateway);
    assert_eq!(
        lines(&build(&both, "dev")),
        ["environments/dev.yaml:2:1: error[P0210]: hosts are named here and in `gateway.yaml`"]
    );
}

#[test]
fn a_mock_of_one_environment_needs_no_upstream_there() {
    let without = DEV
        .replace("  pets: https://pets.${region}.dev.example/\n", "")
        .replace("vars: { region: eu }\n", "");
    let mut files = tree(&without, PRODUCTION);
    let api = format!(
        "{}    mock: {{ from: openapi, environments: [dev] }}\n",
        files["apis/pets/api.yaml"]
    );
    files.insert("apis/pets/api.yaml".to_owned(), api);
    let dev = build(&files, "dev");
    assert_eq!(lines(&dev), Vec::<String>::new());
    assert!(matches!(
        dev.compiled.unwrap().operations[0].handler,
        Handler::Mock(_)
    ));
    let production = build(&files, "production").compiled.unwrap();
    assert_eq!(where_things_are(&production).1, "https://pets.example");
}
