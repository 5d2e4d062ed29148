//! The documents: examples that work, links that lead somewhere, both languages alike, every code of a report told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use certferry::cli::Cli;
use certferry::config::{Config, kinds};
use clap::Parser;

/// What an example may leave out, as its page says: a CA, a DNS access, the certificates' names.
const CA: &str = "[acme]\nterms_agreed = true\ncontact = [\"ops@example.com\"]\n";
const DNS: &str = "[dns.default]\nprovider = \"alidns\"\n";

/// How the sections of a configuration begin.
const OPENS: [&str; 7] = ["[acme", "[aliyun", "[dns", "[[certificate", "[http", "[store", "[trust"];

/// Codes that are chosen by a match, where no call names them (`aliyun/error.rs`, `commands.rs`).
const CHOSEN: [&str; 6] =
    ["NotReached", "NoAnswer", "AnswerTooLarge", "HttpSetup", "Wrong", "Failed"];

/// A document, by its path below the project.
struct Page {
    path: PathBuf,
    text: String,
}

/// A block of code: what it says of itself behind the fence (nothing where it is indented), and its lines.
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(path: &Path) -> Page {
    let text = fs::read_to_string(root().join(path)).unwrap();
    Page { path: path.to_owned(), text }
}

/// Every Markdown file of the project that people read.
fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    for folder in ["", "docs", "hooks", "packaging"] {
        collect(Path::new(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 10, "{}", found.len());
    found
}

/// Below the root only its own files: `target` and others are nobody's documents.
fn collect(folder: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root().join(&path).is_dir() {
            if folder != Path::new("") {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(page(&path));
        }
    }
}

impl Page {
    /// Fenced and indented blocks, in their order.
    fn blocks(&self) -> Vec<Block> {
        let mut found: Vec<Block> = Vec::new();
        let (mut fence, mut was_blank, mut inside) = (false, true, false);
        for (number, line) in self.text.lines().enumerate() {
            let new = |language: &str| Block {
                language: language.to_owned(),
                text: String::new(),
                line: number + 1,
            };
            if let Some(language) = line.strip_prefix("```") {
                if !fence {
                    found.push(new(language));
                }
                fence = !fence;
                continue;
            }
            let indented = line.strip_prefix("    ").filter(|_| !fence);
            inside = indented.is_some() && (inside || was_blank) || inside && line.is_empty();
            if indented.is_some() && inside && was_blank && !self.continues(number) {
                found.push(new(""));
            }
            match (fence, inside) {
                (true, _) => push(&mut found, line),
                (false, true) => push(&mut found, indented.unwrap_or_default()),
                (false, false) => {}
            }
            was_blank = line.is_empty();
        }
        found
    }

    /// Does the block before the blank lines at `number` go on there?
    fn continues(&self, number: usize) -> bool {
        let before: Vec<&str> = self.text.lines().take(number).collect();
        before
            .iter()
            .rev()
            .find(|line| !line.is_empty())
            .is_some_and(|line| line.starts_with("    "))
    }

    fn headings(&self) -> Vec<&str> {
        let mut fence = false;
        let lines = self.text.lines().filter(move |line| {
            fence ^= line.starts_with("```");
            !fence && line.starts_with('#')
        });
        lines.collect()
    }

    /// `[text](target)` of the prose.
    fn links(&self) -> Vec<String> {
        let parts = self.text.split("](").skip(1);
        parts.filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
    }
}

fn push(found: &mut [Block], line: &str) {
    let Some(block) = found.last_mut() else { return };
    block.text += line;
    block.text.push('\n');
}

impl Block {
    /// The configurations in it, or parts of one. What stands indented may have something else behind a blank line.
    fn configs(&self) -> Vec<(usize, &str)> {
        let is_config =
            |text: &&str| text.lines().any(|line| OPENS.iter().any(|open| line.starts_with(open)));
        let texts: Vec<&str> = match self.language.as_str() {
            "toml" => vec![&self.text],
            "" => self.text.split_inclusive("\n\n").filter(is_config).collect(),
            _ => Vec::new(),
        };
        texts.into_iter().map(|text| (self.line, text)).collect()
    }

    /// Its lines without what is said to people.
    fn bare(&self) -> String {
        let bare = |line: &str| {
            let end = ["#", "//"].iter().filter_map(|sign| line.find(&format!(" {sign} "))).min();
            let line = if line.starts_with("# ") { "" } else { &line[..end.unwrap_or(line.len())] };
            format!("{}\n", line.trim_end())
        };
        self.text.lines().map(bare).filter(|line| line != "\n").collect()
    }
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// The Chinese page of an English one, for all that have one.
fn pairs() -> Vec<(Page, Page)> {
    let all = pages();
    let is_chinese = |page: &&Page| page.path.to_string_lossy().ends_with(".zh-CN.md");
    let of =
        |chinese: &Page| PathBuf::from(chinese.path.to_string_lossy().replace(".zh-CN.md", ".md"));
    all.iter().filter(is_chinese).map(|chinese| (page(&of(chinese)), page(&chinese.path))).collect()
}

#[test]
fn configurations_are_right() {
    let mut broken = Vec::new();
    let mut count = 0;
    for page in pages() {
        for (line, said) in page.blocks().iter().flat_map(Block::configs) {
            count += 1;
            let place = format!("{}:{line}", page.path.display());
            let mut text = said.to_owned();
            for (head, said) in [("[acme]", CA), ("[dns.default]", DNS)] {
                if !text.contains(head) {
                    text.push_str(said);
                }
            }
            if let Err(errors) = Config::read(&text, Path::new("/etc/certferry/config.toml")) {
                broken.push(format!("{place}: {errors}"));
            }
        }
    }
    assert!(count > 10, "{count} examples were found");
    assert_none("an example of a configuration is wrong", &broken);
}

/// The first screen shows what its first command prints, but for what each run has of its own.
#[test]
fn the_story_is_what_the_sandbox_tells() {
    let told = story();
    let told: Vec<String> = told.lines().map(constant).collect();
    for page in ["README.md", "README.zh-CN.md"] {
        let blocks = self::page(Path::new(page)).blocks();
        let block =
            blocks.iter().find(|block| block.text.starts_with("$ certferry renew")).unwrap();
        let mut from = 0;
        for line in block.text.lines().map(constant).filter(|line| !line.is_empty()) {
            let at = told[from..].iter().position(|other| *other == line);
            from += at.unwrap_or_else(|| panic!("{page}: not told, or not there: {line}")) + 1;
        }
    }
}

/// What `cargo run --example sandbox` prints. `cargo test` has built it, if not asked for one test alone.
fn story() -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_certferry")).with_file_name("examples/sandbox");
    if !program.exists() {
        let build = ["build", "--quiet", "--offline", "--example", "sandbox"];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    let output = Command::new(program).env("LC_ALL", "C.UTF-8").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A line without ports, times and fingerprints, its rim, and what is left out of it.
fn constant(line: &str) -> String {
    let line = line.trim().trim_start_matches("| ").trim();
    let line = line.split("   ...").next().unwrap().trim_end();
    let own = |word: &str| {
        let bare = word.trim_end_matches([',', ';']);
        let is_print = bare.len() == 16 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = bare.len() >= 5 && bare.starts_with(|c: char| c.is_ascii_digit());
        is_print || is_time || word.contains("127.0.0.1:")
    };
    let words = line.split(' ').map(|word| if own(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn as_many_services_as_are_said() {
    let count = kinds::LIBRARY.len().to_string();
    for page in ["README.md", "README.zh-CN.md"] {
        assert!(fs::read_to_string(root().join(page)).unwrap().contains(&count), "{page}: {count}");
    }
}

#[test]
fn the_manifest_holds_a_configuration() {
    let manifest = fs::read_to_string(root().join("packaging/kubernetes/certferry.yaml")).unwrap();
    let (_, rest) = manifest.split_once("  config.toml: |\n").unwrap();
    let lines = rest.lines().map_while(|line| line.strip_prefix("    "));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let config = Config::read(&text, Path::new("/etc/certferry/config.toml")).unwrap();
    assert_eq!(config.certificates.len(), 1);
    let mounts = ["mountPath: /etc/certferry\n", "mountPath: /run/secrets/certferry\n"];
    assert!(mounts.iter().all(|mount| manifest.contains(mount)));
    assert!(config.store.path.starts_with("/var/lib/certferry"));
    assert!(manifest.contains("mountPath: /var/lib/certferry\n"));
}

/// Every call of the program, in blocks and in the text, as its own reader of the command line takes it.
#[test]
fn commands_are_right() {
    let mut broken = Vec::new();
    let mut count = 0;
    // Decisions speak of what was, too.
    for page in pages().iter().filter(|page| page.path != Path::new("DECISIONS.md")) {
        let blocks: Vec<String> =
            page.blocks().iter().map(|block| block.bare().replace("\\\n", " ")).collect();
        let lines = blocks.iter().flat_map(|text| text.lines()).map(|line| (line, true));
        let within = page.text.split('`').skip(1).step_by(2).map(|words| (words, false));
        for (text, is_whole) in lines.chain(within) {
            // A usage with brackets, as in a table of commands, or with dots is no call.
            let is_usage = text.contains(['[', '(']) || text.contains(" ... ");
            let Some(words) = call(text).filter(|_| !is_usage) else { continue };
            count += 1;
            let error = Cli::try_parse_from(&words).err().filter(clap::Error::use_stderr);
            // What is spoken of may leave out what it needs.
            let is_short = |error: &clap::Error| {
                !is_whole && error.kind() == clap::error::ErrorKind::MissingRequiredArgument
            };
            if let Some(why) = error.filter(|error| !is_short(error)) {
                broken.push(format!("{}: {words:?}: {why}", page.path.display()));
            }
        }
    }
    assert!(count > 50, "{count} calls were found");
    assert_none("a command or a flag that does not exist", &broken);
}

/// The words of a line that calls certferry by itself, without what the shell does with its output.
fn call(line: &str) -> Option<Vec<String>> {
    let line = line.trim_start().trim_start_matches("$ ").trim_start_matches("sudo ");
    let words = shlex::split(line)?;
    (words.first()? == "certferry").then(|| {
        words
            .into_iter()
            .take_while(|word| !["|", ">", "&&", ";"].contains(&word.as_str()))
            .collect()
    })
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for from in pages() {
        for link in from.links().iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = match file {
                "" => from.path.clone(),
                file => from.path.parent().unwrap().join(file),
            };
            let place = format!("{}: {link}", from.path.display());
            if !root().join(&path).exists() {
                broken.push(place);
            } else if !anchor.is_empty()
                && !page(&path).headings().iter().any(|heading| slug(heading) == anchor)
            {
                broken.push(format!("{place}: no such heading"));
            }
        }
    }
    assert_none("a link leads nowhere", &broken);
}

/// Below `src/`, or below the project.
#[test]
fn what_the_architecture_names_is_there() {
    let text = page(Path::new("ARCHITECTURE.md")).text;
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split(" | ").next());
    let named = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_there =
        |path: &str| root().join("src").join(path).exists() || root().join(path).exists();
    let broken: Vec<String> = named.filter(|path| !is_there(path)).map(str::to_owned).collect();
    assert_none("ARCHITECTURE.md names what is not there", &broken);
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn both_languages_say_the_same() {
    let pairs = pairs();
    let paired: BTreeSet<&Path> = pairs.iter().map(|(english, _)| english.path.as_path()).collect();
    let alone = pages().into_iter().filter(|page| page.path.starts_with("docs"));
    let alone = alone.filter(|page| !page.path.to_string_lossy().contains(".zh-CN."));
    let mut broken: Vec<String> = alone
        .filter(|page| !paired.contains(page.path.as_path()))
        .map(|page| format!("{}: no Chinese page", page.path.display()))
        .collect();
    for (english, chinese) in &pairs {
        let place = chinese.path.display();
        let level = |page: &Page| -> Vec<usize> {
            page.headings()
                .iter()
                .map(|line| line.len() - line.trim_start_matches('#').len())
                .collect()
        };
        if level(english) != level(chinese) {
            broken.push(format!("{place}: other headings: {:?}", chinese.headings()));
        }
        let (ours, theirs) = (english.blocks(), chinese.blocks());
        if ours.len() != theirs.len() {
            broken.push(format!("{place}: {} blocks, not {}", theirs.len(), ours.len()));
        }
        for (ours, theirs) in ours.iter().zip(&theirs).filter(|(a, b)| a.bare() != b.bare()) {
            broken.push(format!("{place}:{}: other code than at {}", theirs.line, ours.line));
        }
    }
    assert_none("the languages differ", &broken);
}

/// The first cells of the table between `<!-- table NAME -->` and `<!-- end NAME -->`.
fn told(page: &str, table: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let (_, rest) = text.split_once(&format!("<!-- table {table} -->")).unwrap();
    let (table, _) = rest.split_once("<!-- end").unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(str::to_owned).collect()
}

/// Production's text, without its tests.
fn code() -> Vec<(PathBuf, String)> {
    fn read(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, found);
            } else if !["tests.rs", "testing.rs", "codes.rs", "sts.rs"]
                .iter()
                .any(|name| path.ends_with(name))
            {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    read(&root().join("src"), &mut found);
    found
}

/// The string that stands `at` there, or that a constant of this name is.
fn word(text: &str, at: &str) -> Option<String> {
    let at = at.trim_start();
    if let Some(rest) = at.strip_prefix('"') {
        return rest.split('"').next().map(str::to_owned);
    }
    if let Some(rest) = at.strip_prefix("&format!(\"") {
        return rest.split('{').next().map(|start| format!("{start}..."));
    }
    let name: String = at.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
    let (_, rest) =
        text.split_once(&format!("const {name}: &str = \"")).filter(|_| !name.is_empty())?;
    rest.split('"').next().map(str::to_owned)
}

/// What stands behind the comma that ends the first argument, brackets and all.
fn second_argument(call: &str) -> Option<&str> {
    let mut depth = 0;
    for (at, letter) in call.char_indices() {
        match letter {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => return call.get(at + 1..),
            _ => {}
        }
        if depth < 0 {
            return None;
        }
    }
    None
}

/// Every code that the program itself gives an error: the cloud's have a table in the code.
fn own_codes() -> BTreeSet<String> {
    let all = code();
    let is_there = |word: &str| all.iter().any(|(_, text)| text.contains(&format!("\"{word}\"")));
    let chosen = CHOSEN.iter().filter(|word| is_there(word));
    let mut found: BTreeSet<String> = chosen.map(|&word| word.to_owned()).collect();
    for (_, text) in &all {
        let called = ["Error::new(", "ErrorEnd::of("];
        let calls =
            called.iter().flat_map(|name| text.split(name).skip(1)).filter_map(second_argument);
        // Others of the name tell what is wrong there.
        let is_code = |word: &String| !word.contains(' ');
        found.extend(calls.filter_map(|at| word(text, at)).filter(is_code));
        let fields = text.split("code: \"").skip(1).filter_map(|rest| rest.split('"').next());
        found.extend(fields.map(str::to_owned));
    }
    found
}

#[test]
fn every_code_of_a_report_is_told() {
    let codes = own_codes();
    for page in ["docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"] {
        assert_eq!(told(page, "own"), codes, "{page}: the table `own` and the codes in src/");
    }
}

#[test]
fn every_check_of_doctor_is_told() {
    let mut names = BTreeSet::new();
    for (_, text) in code().iter().filter(|(path, _)| path.to_string_lossy().contains("doctor")) {
        let calls = ["Check::new(", "Check::good(", "Check::bad(", "failed("];
        let calls = calls.iter().flat_map(|call| text.split(call).skip(1));
        let calls = calls.map(|rest| rest.trim_start()).filter(|rest| rest.starts_with('"'));
        names.extend(calls.filter_map(|rest| word(text, rest)));
    }
    for page in ["docs/troubleshooting.md", "docs/troubleshooting.zh-CN.md"] {
        assert_eq!(
            told(page, "doctor"),
            names,
            "{page}: the table `doctor` and the checks in src/"
        );
    }
}
