//! Checks that authentik's own client understands the responses of the double, and that Go matches what
//! the record says.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context as _, Result};
use gatepost_e2e::tools::{PythonPackage, Tool as _};
use gatepost_e2e::{layout, left_out};
use serde_json::Value;

/// Parses each file by the model that authentik's client has for it. The models refuse values of
/// the wrong type and fields that are missing.
const PROGRAM: &str = r#"
import importlib.util, json, sys, types

# The packages themselves would import every model of the schema, which takes many seconds.
folder = importlib.util.find_spec("authentik_client").submodule_search_locations[0]
for name, path in [("authentik_client", folder), ("authentik_client.models", f"{folder}/models")]:
    package = types.ModuleType(name)
    package.__path__ = [path]
    sys.modules[name] = package

from authentik_client.models.paginated_outpost_list import PaginatedOutpostList
from authentik_client.models.paginated_proxy_outpost_config_list import (
    PaginatedProxyOutpostConfigList,
)

for path, model in [
    ("instances.json", PaginatedOutpostList),
    ("proxy.json", PaginatedProxyOutpostConfigList),
]:
    text = open(f"{sys.argv[1]}/{path}").read()
    known = model.from_json(text)
    fields = set(type(known.results[0]).model_fields)
    more = set(json.loads(text)["results"][0]) - fields
    assert not more, f"{path}: not in the schema: {sorted(more)}"
"#;

#[test]
#[ignore = "needs authentik's Python client: cargo xtask test"]
fn the_answers_are_those_of_the_schema() -> Result<()> {
    let python = PythonPackage::AUTHENTIK_CLIENT.locate()?;
    let output = Command::new(python)
        .args(["-c", PROGRAM])
        .arg(layout::root().join("testdata/authentik/api"))
        .output()
        .context("run Python")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Ok(())
}

/// The record of what Go's own regular expressions match, which the outpost's are held against, is
/// what Go says today. Without Go there is nothing to ask.
#[test]
#[ignore = "needs Go: cargo xtask test"]
fn the_record_of_regular_expressions_is_what_go_says() -> Result<()> {
    let folder = layout::root().join("testdata/authentik/regexp");
    let ran = Command::new("go")
        .args(["run", "record.go"])
        .current_dir(&folder)
        .output();
    let output = match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            left_out("there is no Go");
            return Ok(());
        }
        ran => ran.context("run Go")?,
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let recorded = std::fs::read(folder.join("recorded.json"))?;
    assert!(
        recorded == output.stdout,
        "Go says something else: `go run record.go > recorded.json` in {}",
        folder.display()
    );
    Ok(())
}

/// The double's answers have the keys of authentik's, with values of the same types, and no others.
#[test]
fn the_answers_have_the_shapes_of_authentiks() -> Result<()> {
    let folder = layout::root().join("testdata/authentik");
    let read = |path: String| -> Result<Value> {
        let text = std::fs::read_to_string(folder.join(&path)).context(path)?;
        Ok(serde_json::from_str(&text)?)
    };
    for file in ["instances.json", "proxy.json"] {
        let differences = differences(
            &read(format!("recorded/{file}"))?,
            &read(format!("api/{file}"))?,
            file,
        );
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
    Ok(())
}

/// The double says over the WebSocket what authentik says.
#[test]
fn the_messages_have_the_shapes_of_authentiks() -> Result<()> {
    let path = layout::root().join("testdata/authentik/recorded/websocket.json");
    let recorded: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    for own in [
        gatepost_e2e::doubles::authentik::ack(),
        gatepost_e2e::doubles::authentik::trigger_update(),
        gatepost_e2e::doubles::authentik::session_end("a session"),
    ] {
        let instruction = own.get("instruction");
        let its = recorded
            .iter()
            .find(|message| message.get("instruction") == instruction);
        let its = its.with_context(|| format!("authentik says nothing like {own}"))?;
        let differences = differences(its, &own, "message");
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        let kind = |message: &Value| message.pointer("/args/type").cloned();
        assert_eq!(kind(its), kind(&own));
    }
    Ok(())
}

/// Returns where two values differ in their keys or in the types of their values. Null stands for any
/// type, and the first entry of a list for all of them.
fn differences(theirs: &Value, own: &Value, path: &str) -> Vec<String> {
    match (theirs, own) {
        (Value::Object(theirs), Value::Object(own)) => {
            let names: BTreeSet<&String> = theirs.keys().chain(own.keys()).collect();
            let of_name = |name: &String| match (theirs.get(name), own.get(name)) {
                (Some(theirs), Some(own)) => differences(theirs, own, &format!("{path}.{name}")),
                (Some(_), None) => vec![format!("{path}.{name}: missing")],
                (None, _) => vec![format!("{path}.{name}: authentik has no such key")],
            };
            names.into_iter().flat_map(of_name).collect()
        }
        (Value::Array(theirs), Value::Array(own)) => match (theirs.first(), own.first()) {
            (Some(theirs), Some(own)) => differences(theirs, own, &format!("{path}[]")),
            _ => Vec::new(),
        },
        (Value::Null, _) | (_, Value::Null) => Vec::new(),
        (theirs, own) => {
            let same = std::mem::discriminant(theirs) == std::mem::discriminant(own);
            if same {
                Vec::new()
            } else {
                vec![format!("{path}: {own} instead of something like {theirs}")]
            }
        }
    }
}
