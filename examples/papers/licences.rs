//! Whose work is in the binary, under which licences, with the notices that those ask to be kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const HEAD: &str = "\
certferry is linked with these libraries. Each stands with its version, its licence (an SPDX expression), its authors
as far as its package names them, and the numbers of the texts below that its package holds.
";

/// What licences and notices are called in a package.
const NAMES: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// All libraries that a build for this platform links in, with their texts, each text once.
pub(crate) fn of_what_is_linked_in(target: &str) -> Result<String> {
    let metadata = metadata(target)?;
    let mut texts: Vec<String> = Vec::new();
    let mut list = String::from(HEAD);
    for package in linked(&metadata)? {
        let numbers = numbers(&mut texts, package)?;
        list += &entry(package, &numbers);
    }
    for (number, text) in texts.iter().enumerate() {
        list += &format!("\n{:=^100}\n\n{}\n", format!(" {} ", number + 1), text.trim_end());
    }
    Ok(list)
}

fn metadata(target: &str) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", target])
        .output()?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata's answer cannot be read")
}

/// What is reached from certferry by normal dependencies. A macro's crate ran at compile time and is not in it.
fn linked(metadata: &Value) -> Result<Vec<&Value>> {
    let packages: BTreeMap<&str, &Value> =
        each(&metadata["packages"]).filter_map(|one| Some((one["id"].as_str()?, one))).collect();
    let nodes: BTreeMap<&str, &Value> = each(&metadata["resolve"]["nodes"])
        .filter_map(|one| Some((one["id"].as_str()?, one)))
        .collect();
    let root =
        metadata["resolve"]["root"].as_str().context("a workspace without a root package")?;
    let (mut seen, mut next) = (BTreeSet::from([root]), VecDeque::from([root]));
    while let Some(id) = next.pop_front() {
        for dependency in each(&nodes[id]["deps"]).filter(|one| is_normal(one)) {
            let id = dependency["pkg"].as_str().context("a dependency without an id")?;
            if !is_macro(packages[id]) && seen.insert(id) {
                next.push_back(id);
            }
        }
    }
    seen.remove(root);
    let mut found: Vec<&Value> = seen.into_iter().map(|id| packages[id]).collect();
    found.sort_by_key(|one| (one["name"].as_str(), one["version"].as_str()));
    Ok(found)
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn is_normal(dependency: &Value) -> bool {
    each(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null())
}

fn is_macro(package: &Value) -> bool {
    each(&package["targets"]).any(|target| each(&target["kind"]).any(|kind| kind == "proc-macro"))
}

/// The numbers of a package's texts among all.
fn numbers(texts: &mut Vec<String>, package: &Value) -> Result<Vec<usize>> {
    let manifest = package["manifest_path"].as_str().context("a package without a manifest")?;
    let folder = Path::new(manifest).parent().context("a manifest without a folder")?;
    let mut found = Vec::new();
    for text in texts_in(folder)? {
        let known = texts.iter().position(|other| *other == text);
        found.push(known.unwrap_or(texts.len()) + 1);
        if known.is_none() {
            texts.push(text);
        }
    }
    Ok(found)
}

/// Licences at the top of a package, in the order of their names.
fn texts_in(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && NAMES.iter().any(|word| name.contains(word)) {
            files.push(path);
        }
    }
    files.sort();
    let read = |path| Ok(String::from_utf8_lossy(&fs::read(path)?).replace("\r\n", "\n"));
    files.iter().map(read).collect()
}

fn entry(package: &Value, numbers: &[usize]) -> String {
    let word = |name: &str| package[name].as_str().unwrap_or("not named").to_owned();
    let authors: Vec<&str> = each(&package["authors"]).filter_map(Value::as_str).collect();
    let authors = match authors.is_empty() {
        true => String::new(),
        false => format!("  by {}\n", authors.join(", ")),
    };
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    let texts = match texts.is_empty() {
        true => "none in its package".to_owned(),
        false => texts.join(", "),
    };
    let (name, version, licence) = (word("name"), word("version"), word("license"));
    let repository = word("repository");
    format!("\n{name} {version}: {licence}\n{authors}  {repository}\n  texts: {texts}\n")
}
