//! What `init` finds of a client that was at work: its one certificate, and nothing that stands in the way.

use std::path::Path;
use std::process::Command;

use super::client::Left;
use super::program::run;

/// By the flag of the client and its folder. `names` are the certificate's, in their order.
pub(crate) fn check(
    row: &str,
    folder: &Path,
    (flag, home): (&str, &str),
    left: &Left,
    names: &[&str],
) {
    let config = folder.join("adopts.toml");
    std::fs::write(&config, "[trust]\nroots = \"roots.pem\"\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
    command.env_clear().env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    command.arg("--config").arg(config).args(["init", "--json"]);
    command.arg(format!("--from-{flag}={}", folder.join(home).display()));
    let ran = run(command, folder);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let [found] = &document["found"].as_array().unwrap()[..] else {
        panic!("{row}: not one: {document:#}");
    };
    assert_eq!((&found["state"], &found["renewed"]), (&"new".into(), &true.into()), "{document:#}");
    let mut found_names: Vec<_> = found["names"].as_array().unwrap().iter().collect();
    found_names.sort_by_key(|name| name.to_string());
    assert_eq!(found_names, names, "{row}: {document:#}");
    let of_folder = left.chain.parent().unwrap();
    let source = match found["source_key"].as_str() {
        Some(key) => {
            assert_eq!(Path::new(key), left.key, "{row}");
            left.chain.as_path()
        }
        None => of_folder,
    };
    assert_eq!(found["source"].as_str().map(Path::new), Some(source), "{row}: {document:#}");
}
