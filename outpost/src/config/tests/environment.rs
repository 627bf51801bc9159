//! Configuration from the environment, together with a file or without one.

use super::example::keys;
use super::*;
use crate::config::environment::variable_of;

#[test]
fn variables_that_an_orchestrator_sets_for_a_service_of_that_name_are_no_keys() {
    let yaml = minimal("");
    let links = [
        ("GATEPOST_SERVICE_HOST", "10.0.0.1"),
        ("GATEPOST_SERVICE_PORT", "9000"),
        ("GATEPOST_SERVICE_PORT_HTTP", "9000"),
        ("GATEPOST_PORT", "tcp://10.0.0.1:9000"),
        ("GATEPOST_PORT_9000_TCP_ADDR", "10.0.0.1"),
        ("GATEPOST_OUTPOST_PORT", "tcp://10.0.0.1:9000"),
        ("GATEPOST_OUTPOST_PORT_9000_TCP", "tcp://10.0.0.1:9000"),
    ];
    assert_eq!(problems(&yaml, &links), [""; 0]);
    assert_eq!(problems(&yaml, &[("GATEPOST_PORT", "9000")]).len(), 1);
}

#[test]
fn the_environment_says_everything_that_a_file_can() {
    let environment = [
        ("GATEPOST_LISTEN_HTTP", "0.0.0.0:80"),
        ("GATEPOST_KEYS", KEY),
        ("GATEPOST_TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.1"),
        ("GATEPOST_SESSION_RENEW_AFTER", "5m"),
        ("GATEPOST_PROVIDERS_0_NAME", "main"),
        ("GATEPOST_PROVIDERS_0_ISSUER", "https://id.example.com"),
        ("GATEPOST_PROVIDERS_0_CLIENT_ID", "gatepost"),
        ("GATEPOST_PROVIDERS_0_CLIENT_SECRET", ""),
        (
            "GATEPOST_APPLICATIONS_1_EXTERNAL_URL",
            "https://b.example.com",
        ),
        ("GATEPOST_APPLICATIONS_1_NAME", "b"),
        ("GATEPOST_APPLICATIONS_0_NAME", "a"),
        (
            "GATEPOST_APPLICATIONS_0_EXTERNAL_URL",
            "https://a.example.com",
        ),
        (
            "GATEPOST_APPLICATIONS_0_REQUIRE_EMAIL_DOMAINS",
            "example.com",
        ),
        (
            "GATEPOST_APPLICATIONS_0_HEADERS_SET",
            "X-Department=department, X-Level=level",
        ),
        ("PATH", "/bin"),
    ];
    let config = Config::parse("", variables(&environment)).expect("a configuration");
    assert_eq!(config.listen.http.first().port(), 80);
    assert_eq!(config.session.renew_after, 300);
    assert!(
        config.providers[0].client_secret.is_none(),
        "an empty variable counts as absent"
    );
    let names: Vec<&str> = config
        .applications
        .iter()
        .map(|a| a.audience.as_str())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let claims: Vec<&str> = config.applications[0].headers.claims().collect();
    assert!(claims.ends_with(&["department", "level"]), "{claims:?}");
}

#[test]
fn the_environment_overrides_the_file_and_names_its_own_mistakes() {
    let yaml = minimal("");
    let config = Config::parse(
        &yaml,
        variables(&[(
            "GATEPOST_APPLICATIONS_0_EXTERNAL_URL",
            "https://other.example.com",
        )]),
    );
    assert_eq!(
        config.expect("right").applications[0].external.host(),
        "other.example.com"
    );
    let mistakes = [
        ("GATEPOST_APPLICATIONS_EXTERNAL_URL", "x"),
        ("GATEPOST_APPLICATIONS_2_NAME", "x"),
        ("GATEPOST_MOOD", "x"),
    ];
    assert_eq!(
        problems(&yaml, &mistakes),
        [
            "GATEPOST_MOOD: no such key: `gatepost config example` lists the keys",
            "GATEPOST_APPLICATIONS_EXTERNAL_URL: no such key: `applications[].externalUrl` is \
         GATEPOST_APPLICATIONS_0_EXTERNAL_URL",
            "GATEPOST_APPLICATIONS_2_NAME: entries are counted from 0 without a gap",
        ]
    );
}

#[test]
fn every_listed_key_is_read_and_has_its_own_variable() {
    let names: BTreeSet<String> = keys().map(variable_of).collect();
    assert_eq!(names.len(), reference::keys().count());
    for key in keys() {
        let lines = problems("", &[(&variable_of(key), "x")]);
        let unknown: Vec<&String> = lines
            .iter()
            .filter(|line| line.contains("unknown key") || line.contains("no such key"))
            .collect();
        assert!(unknown.is_empty(), "{key}: {unknown:?}");
    }
}

#[test]
fn secrets_may_come_from_files() {
    let folder = std::env::temp_dir().join(format!("gatepost-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let keys = file("keys", &format!("# the ring\n{KEY}\n"));
    let secret = file("secret", "s3cret\n");
    let yaml = minimal("").replace(&format!("keys: ['{KEY}']"), &format!("keysFile: {keys}"));
    let config = Config::parse(
        &yaml,
        variables(&[("GATEPOST_PROVIDERS_0_CLIENT_SECRET_FILE", &secret)]),
    )
    .expect("right");
    assert_eq!(
        config.providers[0]
            .client_secret
            .as_ref()
            .expect("a secret")
            .secret(),
        "s3cret"
    );
    assert_eq!(config.files.len(), 2, "both are watched");

    let missing = yaml.replace(&keys, "/nonexistent/keys");
    assert!(problems(&missing, &[])[0].starts_with("keysFile: cannot read /nonexistent/keys:"));
    let both = format!("{yaml}\n").replace("keysFile", "keys: [x]\nkeysFile");
    assert_eq!(
        problems(&both, &[]),
        ["keysFile: cannot be combined with `keys`: set only one"]
    );
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn traces_go_where_the_file_or_the_standard_variables_say() {
    let example = |section: &str, variables: &[(&str, &str)]| {
        let pairs = variables
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Config::parse(&format!("{}\n{section}", minimal("")), pairs)
    };
    let own = "tracing: {endpoint: 'http://own:4318/'}";
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318");
    let specific = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://traces:4318/v1/traces",
    );
    let ours = ("GATEPOST_TRACING_ENDPOINT", "https://ours/otlp");
    for (case, section, variables, expected) in [
        ("nothing", "", &[][..], None),
        ("the file", own, &[], Some("http://own:4318/v1/traces")),
        (
            "everything's",
            "",
            &[standard],
            Some("http://all:4318/v1/traces"),
        ),
        (
            "the traces'",
            "",
            &[specific, standard],
            Some("http://traces:4318/v1/traces"),
        ),
        (
            "ours",
            own,
            &[ours, specific],
            Some("https://ours/otlp/v1/traces"),
        ),
    ] {
        let config = example(section, variables).expect(case);
        let endpoint = config
            .traces
            .as_ref()
            .map(|traces| traces.endpoint.as_str());
        assert_eq!(endpoint, expected, "{case}");
    }
    for (section, problem) in [
        ("tracing: {sampleRatio: 1}", "tracing.endpoint"),
        ("tracing: {endpoint: 'collector:4318'}", "tracing.endpoint"),
        (
            "tracing: {endpoint: 'http://c', sampleRatio: 2}",
            "tracing.sampleRatio",
        ),
        (
            "tracing: {endpoint: 'http://c', headers: {'a b': s3cret}}",
            "tracing.headers",
        ),
    ] {
        let error = example(section, &[]).expect_err(section).to_string();
        assert!(error.starts_with(problem), "{section}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let config = example(
        "tracing: {endpoint: 'http://c', headers: {Authorization: s3cret}}",
        &[],
    );
    let traces = config.expect("a configuration").traces.expect("traces");
    assert_eq!(traces.headers["authorization"], "s3cret");
    assert!(!format!("{traces:?}").contains("s3cret"));
}
