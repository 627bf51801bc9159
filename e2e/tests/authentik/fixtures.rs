//! Checks that authentik's own client understands the responses of the double, and that Go matches what
//! the record says.

use std::process::Command;

use anyhow::{Context as _, Result};
use gatepost_e2e::layout;
use gatepost_e2e::tools::{PythonPackage, Tool as _};

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
    let Ok(output) = ran else {
        eprintln!("skipped: there is no Go");
        return Ok(());
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
