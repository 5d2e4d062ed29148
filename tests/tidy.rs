//! The house rules as a test: layers, file heads, lengths, names, and the packages that were asked for by name.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may import whom: a module of `src/` and the modules of ours that it may name. Not listed: anything (the rim).
const LAYERS: &[(&str, &[&str])] = &[
    ("cert", &[]),
    ("config", &[]),
    ("caa", &[]),
    ("persist", &[]),
    ("policy", &["config"]),
    ("doctor", &["caa", "cert", "plan", "report", "told"]),
    ("init", &["cert", "config", "plan", "report", "told"]),
    ("hook", &["config"]),
    ("cli", &[]),
    ("ground", &[]),
    ("told", &[]),
    ("secret", &["ground", "told"]),
    ("http", &["secret"]),
    ("ari", &["http", "cert", "secret"]),
    ("journal", &["cert", "config"]),
    ("plan", &["cert", "config", "journal"]),
    ("check", &["cert", "config"]),
    ("report", &["cert", "plan", "told"]),
    ("store", &["cert", "config", "journal", "ground", "secret"]),
    ("aliyun", &["http", "config", "secret", "ground", "cert"]),
    ("dns", &["aliyun", "caa", "http", "config", "secret", "ground"]),
    ("challenge", &["dns", "store", "journal", "ground", "config"]),
    ("look", &["aliyun", "ari", "cert", "config", "http", "journal", "store", "plan", "told"]),
    (
        "issue",
        &[
            "cert",
            "challenge",
            "config",
            "http",
            "store",
            "journal",
            "secret",
            "ground",
            "dns",
            "told",
            "persist",
        ],
    ),
    ("deploy", &["aliyun", "cert", "config", "journal", "plan", "store"]),
    ("verify", &["aliyun", "cert", "look", "plan", "config", "store"]),
];

/// These decide: they touch no clock, disk, network, environment, and nothing in them waits.
const PURE: &[&str] = &[
    "caa", "cert", "check", "plan", "hook", "report", "journal", "config", "told", "policy",
    "doctor", "persist", "init",
];

const IMPURE: &[&str] = &[
    "async fn",
    ".await",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "tokio::",
    "reqwest::Client",
    "std::env",
    "Instant::now",
    "Timestamp::now",
    "SystemTime",
    "std::process",
];

const PACKAGES: &[&str] = &[
    "instant-acme",
    "rcgen",
    "tokio",
    "reqwest",
    "hmac",
    "sha1",
    "base64",
    "serde",
    "serde_json",
    "pem",
    "anyhow",
    "tracing",
];

const BAD_WORDS: &[&str] = &["manager", "processor", "helper", "util", "misc"];

/// A file over this is a question; there is none that has an answer yet.
const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 60;
const LONGEST_MEDIAN: usize = 12;

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The module of `src/` that the file belongs to: `aliyun` for `src/aliyun/sign.rs`.
    fn module(&self) -> String {
        let inside = self.path.strip_prefix(root().join("src")).unwrap();
        inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned()
    }

    fn is_test(&self) -> bool {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        ["tests.rs", "testing.rs", "fake.rs", "schema.rs"].contains(&name)
            || self.path.components().any(|part| part.as_os_str() == "tests")
    }

    /// The text without its tests at the end.
    fn code(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests").next().unwrap()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Source { path, text });
        }
    }
}

fn production() -> Vec<Source> {
    sources("src").into_iter().filter(|source| !source.is_test()).collect()
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn layers_hold() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut broken = Vec::new();
    for source in production() {
        let module = source.module();
        let Some(allowed) = layers.get(module.as_str()) else { continue };
        for imported in imports(source.code()) {
            // What fuzzers call is beside the house: it asks any module to be tame.
            let is_told = imported == module || imported == "hostile";
            if !is_told && !allowed.contains(&imported.as_str()) {
                broken.push(format!("{} imports {imported}", source.path.display()));
            }
        }
    }
    assert_none("a layer reaches where it may not (DESIGN: who may import whom)", &broken);
}

/// The first segments of all `crate::x` paths, also of `use crate::{a, b::c}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in code.split("crate::").skip(1) {
        let list = part.strip_prefix('{').map(|inside| inside.split('}').next().unwrap());
        let names = list.map_or_else(|| vec![part], |inside| inside.split(',').collect());
        for name in names {
            let word: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            if !word.is_empty() && word.chars().next().unwrap().is_lowercase() {
                found.push(word);
            }
        }
    }
    found
}

#[test]
fn what_decides_is_pure() {
    let mut broken = Vec::new();
    for source in production().iter().filter(|source| PURE.contains(&source.module().as_str())) {
        for line in source.code().lines().filter(|line| !line.trim_start().starts_with("//")) {
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                broken.push(format!("{}: {word}: {}", source.path.display(), line.trim()));
            }
        }
    }
    assert_none("a pure module touches the world", &broken);
}

#[test]
fn only_main_prints_and_reads_the_world() {
    let words = [
        "println!(",
        "print!(",
        "std::io::stdout",
        "std::io::stderr",
        "std::env::var",
        "Timestamp::now",
    ];
    let mut broken = Vec::new();
    for source in production().iter().filter(|source| source.module() != "main") {
        for word in words.iter().filter(|word| source.code().contains(**word)) {
            broken.push(format!("{}: {word}", source.path.display()));
        }
    }
    assert_none("only main prints, reads the clock and the environment", &broken);
}

#[test]
fn only_the_store_writes_files() {
    let words = [
        "fs::write",
        "File::create",
        ".write(true)",
        "fs::rename",
        "fs::remove",
        "create_dir",
        "NamedTempFile",
    ];
    let mut broken = Vec::new();
    // The pace's lock file is no part of the store: it is the host's, where that can be had. aliyun is handed the folders.
    let exempt = ["store", "aliyun"];
    for source in production().iter().filter(|source| !exempt.contains(&source.module().as_str())) {
        for word in words.iter().filter(|word| source.code().contains(**word)) {
            broken.push(format!("{}: {word}", source.path.display()));
        }
    }
    assert_none("only the store writes files", &broken);
}

#[test]
fn only_http_and_dns_open_connections() {
    let words = ["TcpStream", "UdpSocket", "UnixStream", "lookup_host", "reqwest::Client"];
    let mut broken = Vec::new();
    let exempt = ["http", "dns"];
    for source in production().iter().filter(|source| !exempt.contains(&source.module().as_str())) {
        for word in words.iter().filter(|word| source.code().contains(**word)) {
            broken.push(format!("{}: {word}", source.path.display()));
        }
    }
    assert_none("only http and dns open connections", &broken);
}

#[test]
fn only_lib_knows_the_way() {
    let stages = ["look", "plan", "issue", "check", "deploy", "verify", "report"];
    let mut broken = Vec::new();
    let may = |stage: &str, other: &str| matches!((stage, other), (_, "plan") | ("verify", "look"));
    for source in production().iter().filter(|source| stages.contains(&source.module().as_str())) {
        let stage = source.module();
        for other in imports(source.code()).iter().filter(|other| stages.contains(&other.as_str()))
        {
            if *other != stage && !may(&stage, other) {
                broken.push(format!("{} names the stage {other}", source.path.display()));
            }
        }
    }
    assert_none("a stage never calls the next", &broken);
}

#[test]
fn files_open_with_their_place() {
    let all: Vec<Source> = ["src", "tests"].iter().flat_map(|folder| sources(folder)).collect();
    let broken: Vec<String> = all
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("a file opens with one line that says its place", &broken);
}

#[test]
fn files_are_short() {
    let all: Vec<Source> = ["src", "tests"].iter().flat_map(|folder| sources(folder)).collect();
    let broken: Vec<String> = all
        .iter()
        .filter(|source| source.text.lines().count() > LONGEST_FILE)
        .map(|source| format!("{}: {}", source.path.display(), source.text.lines().count()))
        .collect();
    assert_none("a file is too long", &broken);
}

#[test]
fn functions_are_short() {
    let mut lengths = Vec::new();
    let mut broken = Vec::new();
    for source in production() {
        for (name, length) in functions(source.code()) {
            if length > LONGEST_FUNCTION {
                broken.push(format!("{}: {name}: {length} lines", source.path.display()));
            }
            lengths.push(length);
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert_none("a function is too long", &broken);
    assert!(median <= LONGEST_MEDIAN, "the median function has {median} lines");
}

/// Names and lengths of functions: from the line of `fn` to the closing brace at the same indentation.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some(name) = fn_name(line.trim_start()) else { continue };
        let close = format!("{}}}", " ".repeat(indent));
        let one_line = line.trim_end().ends_with('}') || line.trim_end().ends_with(';');
        let end =
            if one_line { Some(0) } else { lines[start..].iter().position(|line| *line == close) };
        if let Some(length) = end {
            found.push((name, length + 1));
        }
    }
    found
}

fn fn_name(line: &str) -> Option<String> {
    let before = ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe "];
    let mut rest = line;
    while let Some(shorter) = before.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = shorter;
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

#[test]
fn names_say_something() {
    let mut broken = Vec::new();
    for source in production() {
        let file = source.path.file_stem().unwrap().to_str().unwrap().to_owned();
        for word in BAD_WORDS.iter().filter(|word| file.contains(**word)) {
            broken.push(format!("{}: {word}", source.path.display()));
        }
        for line in source.code().lines().filter(|line| line.contains("fn get_")) {
            broken.push(format!("{}: {}", source.path.display(), line.trim()));
        }
    }
    assert_none("a name that says nothing", &broken);
}

#[test]
fn no_test_is_ignored_and_nothing_is_unfinished() {
    let words = [
        concat!("#[", "ignore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
    ];
    let mut broken = Vec::new();
    for source in ["src", "tests", "examples"]
        .iter()
        .filter(|folder| root().join(folder).exists())
        .flat_map(|folder| sources(folder))
    {
        for word in words.iter().filter(|word| source.text.contains(**word)) {
            broken.push(format!("{}: {word}", source.path.display()));
        }
    }
    assert_none("ignored or unfinished", &broken);
}

/// Commands stand in backquotes or, in a document, indented.
#[test]
fn texts_name_commands_that_there_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let texts: Vec<(String, String)> = production()
        .iter()
        .map(|source| (source.path.display().to_string(), source.code().to_owned()))
        .chain([("README.md".to_owned(), readme)])
        .collect();
    let mut broken = Vec::new();
    for (path, text) in &texts {
        let commands = text.split("`certferry ").skip(1).filter_map(|rest| rest.split('`').next());
        broken.extend(
            commands
                .filter(|words| !is_command(words))
                .map(|words| format!("{path}: certferry {words}")),
        );
    }
    assert_none("a command or a flag that does not exist", &broken);
}

/// The program itself knows its commands, and the flags of each.
fn is_command(words: &str) -> bool {
    let mut words = words.split_whitespace().filter(|word| !word.starts_with("-q"));
    let Some(command) = words.next().filter(|word| !word.starts_with("--")) else { return true };
    let output =
        Command::new(env!("CARGO_BIN_EXE_certferry")).args([command, "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    let flags =
        words.map(|word| word.trim_matches(['[', ']', '(', ')'])).filter(|w| w.starts_with("--"));
    output.status.success() && flags.into_iter().all(|flag| help.contains(flag))
}

#[test]
fn the_packages_asked_for_are_direct_and_in_use() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours = packages.iter().find(|package| package["name"] == "certferry").unwrap();
    let direct: Vec<&str> = ours["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["kind"].is_null())
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    let code: String = production().iter().map(|source| source.code().to_owned()).collect();
    for package in PACKAGES {
        assert!(direct.contains(package), "{package} is no direct dependency");
        let name = package.replace('-', "_");
        assert!(code.contains(&format!("{name}::")), "{package} is not in use");
    }
}
