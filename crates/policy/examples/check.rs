//! scratch
fn main() {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap();
    let env = args.next().unwrap_or("dev".into());
    let o = turnpike_policy::source::build(
        std::path::Path::new(&root),
        &turnpike_policy::source::Options {
            environment: env,
            as_of: 1_795_380_311_000,
            development_key: Some(
                r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#.into(),
            ),
        },
    );
    for d in &o.diagnostics {
        println!("{d}\n");
    }
    println!(
        "{} diagnostics, {:?}",
        o.diagnostics.len(),
        o.bundle.as_ref().map(|b| (b.0.len(), b.1[0]))
    );
    if std::env::args().nth(3).is_some() {
        println!("{:#?}", o.compiled);
    }
}
