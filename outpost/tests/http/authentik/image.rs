//! The container's image in the place of authentik's, with its variables and nothing else.

use super::*;
use crate::program::Running;

/// The file that the image names. It is missing where an operator changes only the image's name.
fn file_of_the_image() -> &'static str {
    let dockerfile = include_str!("../../../Dockerfile");
    let named = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ENV "))
        .flat_map(str::split_whitespace)
        .find_map(|variable| variable.strip_prefix("GATEPOST_CONFIG="));
    named.expect("the image names a file")
}

/// Returns the variables of the image, and those that authentik's own controllers set.
fn variables(host: &str) -> [(&'static str, &str); 8] {
    [
        ("GATEPOST_CONFIG", file_of_the_image()),
        ("AUTHENTIK_HOST", host),
        ("AUTHENTIK_TOKEN", "t0ken"),
        ("AUTHENTIK_HOST_BROWSER", ""),
        ("AUTHENTIK_INSECURE", "False"),
        ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__HTTPS", "127.0.0.1:0"),
        ("AUTHENTIK_LISTEN__METRICS", "127.0.0.1:0"),
    ]
}

#[tokio::test]
async fn the_images_variable_without_its_file_does_not_hide_authentiks() {
    let provider = Provider::start().await;
    let host = api(&provider, vec![application(&provider, json!({}))]).await;
    let variables = variables(&host);
    let running = Running::start_by(&["serve"], &variables);
    running.ready().await;
}

#[tokio::test]
async fn commands_read_the_configuration_in_the_image_as_the_outpost_does() {
    let provider = Provider::start().await;
    let host = api(&provider, vec![application(&provider, json!({}))]).await;
    let ran = tokio::task::spawn_blocking(move || {
        std::process::Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["export", "keys"])
            .env_clear()
            .envs(variables(&host))
            .output()
    });
    let output = ran.await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A file that the command line names has to exist.
#[tokio::test]
async fn a_file_of_the_command_line_has_to_be_there() {
    let ran = tokio::task::spawn_blocking(|| {
        std::process::Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["serve", "--config", "/nonexistent/gatepost.yaml"])
            .env_clear()
            .env("AUTHENTIK_HOST", "http://127.0.0.1:9")
            .env("AUTHENTIK_TOKEN", "t0ken")
            .output()
    });
    let output = ran.await.expect("no panic").expect("it runs");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/nonexistent/gatepost.yaml"), "{said}");
}
