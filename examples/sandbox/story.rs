//! The teller of the story: runs the real library, and tells what the world around it saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certferry::cli::Cli;
use certferry::ground::{Clock, Env, Ground, Progress, Say};
use certferry_sandbox::fault::{Ending, Fault};
use certferry_sandbox::manage::Manage;
use certferry_sandbox::world::{Certificate, Seed, World};
use clap::Parser;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Lines fit a terminal of this width.
const WIDTH: usize = 80;

pub(crate) struct Teller {
    world: World,
    folder: TempDir,
    config: PathBuf,
    env: BTreeMap<String, String>,
    pause: Duration,
    chapter: usize,
}

impl Teller {
    pub(crate) fn new(pause: Duration) -> Result<Self> {
        let mut seed = Seed::default();
        seed.domains.push("shop.example.test".to_owned());
        let folder = tempfile::tempdir().context("a folder for the story")?;
        let world = World::with(seed);
        let config = world.config(folder.path());
        Ok(Self { world, folder, config, env: BTreeMap::new(), pause, chapter: 0 })
    }

    pub(crate) fn introduce(&self) {
        let servers: Vec<String> =
            self.world.dns.addresses().iter().map(ToString::to_string).collect();
        let edge: Vec<String> =
            self.world.edge.addresses().iter().map(ToString::to_string).collect();
        println!("certferry in a world of its own: all of it is on this machine's loopback.\n");
        println!("  DNS    {}   zone example.test", servers.join(", "));
        println!("  cloud  {}   CDN and alidns", self.world.cloud.url());
        println!("  CA     {}", self.world.ca.directory_url());
        println!("  edge   {}   TLS by what the cloud was given", edge.join(", "));
    }

    pub(crate) fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        self.forget();
        println!("\n{}. {title}", self.chapter);
    }

    /// Runs a command as the program would, and answers its exit status.
    pub(crate) async fn certferry(&self, args: &str) -> u8 {
        self.tell(&format!("\n  $ certferry {args}"));
        self.run(args, &self.config, Say::new(show)).await
    }

    async fn run(&self, args: &str, config: &Path, say: Say) -> u8 {
        let words = ["certferry", "--config"].into_iter().map(ToOwned::to_owned);
        let words = words.chain([config.display().to_string()]);
        let words = words.chain(args.split_whitespace().map(ToOwned::to_owned));
        let ground = Ground {
            input: certferry::ground::Input::nothing(),
            clock: Clock::new(Timestamp::now),
            env: Env::from_iter(self.env.clone()),
            stop: CancellationToken::new(),
            say: say.clone(),
            ask: certferry::ground::Ask::nobody(),
            width: 76,
        };
        let ended = certferry::run(Cli::parse_from(words), ground).await;
        ended.stdout.lines().chain(ended.stderr.lines()).for_each(|line| say.line(line));
        ended.code
    }

    /// What CA, DNS and cloud were asked, in the order of time, alike ones in one line.
    pub(crate) fn what_the_world_saw(&self) {
        let mut seen: Vec<(Timestamp, String)> = Vec::new();
        seen.extend(
            self.world
                .ca
                .all_calls()
                .into_iter()
                .filter_map(|call| Some((call.at, ca_line(&call)?))),
        );
        seen.extend(
            self.world.cloud.all_calls().into_iter().map(|call| (call.at, cloud_line(&call))),
        );
        let (now, instant) = (Timestamp::now(), std::time::Instant::now());
        for query in self.world.dns.queries().iter().filter(|query| query.kind.to_string() == "TXT")
        {
            let age = instant.saturating_duration_since(query.at);
            let line =
                format!("server {} is asked for the TXT of {}", query.server + 1, query.name);
            seen.push((now - age, format!("DNS    {line}")));
        }
        seen.sort();
        self.tell("\n  what the world saw:");
        for (line, times) in folded(seen.into_iter().map(|(_, line)| line)) {
            let times = if times > 1 { format!("  x{times}") } else { String::new() };
            self.tell(&format!("    {line}{times}"));
        }
    }

    /// A client connects by TLS, trusting the CA's root alone.
    pub(crate) async fn handshake(&self, domain: &str) -> Result<()> {
        let mut client = reqwest::Client::builder().no_proxy();
        let roots = reqwest::Certificate::from_pem_bundle(self.world.ca.roots().as_bytes())?;
        client = client.tls_certs_only(roots).resolve(domain, self.world.edge.addresses()[0]);
        let answer = client
            .build()?
            .get(format!("https://{domain}:{}/", self.world.edge.port()))
            .send()
            .await?;
        ensure!(answer.status().is_success(), "the edge answers {}", answer.status());
        let shown = self.world.edge.handshakes().last().and_then(|one| one.fingerprint.clone());
        let shown = shown.context("no handshake")?;
        self.tell(&format!("  TLS    https://{domain} shows {}, chain verified", &shown[..16]));
        Ok(())
    }

    pub(crate) fn change_in_the_console(&self, domain: &str) {
        let made = rcgen::generate_simple_self_signed([domain.to_owned()]);
        let Ok(made) = made else { return };
        self.world.cloud.set_served(
            domain,
            "by-hand",
            &made.cert.pem(),
            &made.signing_key.serialize_pem(),
        );
        self.tell(&format!("\n  the cloud now serves a self-signed certificate for {domain}"));
    }

    /// Another client gets a certificate: played by a store of its own, since certbot may not be on this machine.
    pub(crate) async fn certbot_renews(&mut self, name: &str) -> Result<()> {
        let folder = self.folder.path().join("letsencrypt");
        let config = self.world.config_for(&folder, &[Certificate::new(&[name], &[])]);
        let code = self.run("renew", &config, Say::nothing()).await;
        ensure!(code == 0, "certbot's part was not played");
        let live = folder.join("store/live").join(name);
        self.env.insert("RENEWED_LINEAGE".to_owned(), live.display().to_string());
        self.env.insert("RENEWED_DOMAINS".to_owned(), name.to_owned());
        self.tell(&format!("\n  RENEWED_LINEAGE=.../letsencrypt/live/{name}"));
        self.forget();
        Ok(())
    }

    pub(crate) fn cloud_is_busy(&self) {
        let busy =
            Fault::at("SetDomainServerCertificate").always().before().answer("ServiceBusy", 403);
        self.world.cloud.fault(busy);
    }

    pub(crate) fn cloud_is_well(&self) {
        self.world.cloud.heal();
        self.tell("\n  the cloud is well again; an hour later the timer comes round");
    }

    /// Leaves the world running for curl, certbot, lego and certferry, until a line or the end comes on stdin.
    pub(crate) async fn keep(&self) -> Result<()> {
        let manage = Manage::start(self.world.dns.zones());
        let (folder, acme) = (self.folder.path().display(), self.world.ca.directory_url());
        let edge = self.world.edge.addresses()[0];
        let servers = self.world.dns.addresses();
        println!("\nThe world goes on until you press Enter. From another terminal:\n");
        println!("  certferry --config {} status", self.config.display());
        println!("  curl --cacert {folder}/ca.pem {acme}");
        println!(
            "  curl --cacert {folder}/roots.pem --connect-to ::{edge} https://cdn.example.test/"
        );
        println!("  certbot: REQUESTS_CA_BUNDLE={folder}/ca.pem, --server {acme}");
        println!(
            "  lego:    LEGO_CA_CERTIFICATES={folder}/ca.pem, --server {acme}, --dns.resolvers {}",
            servers[0]
        );
        println!(
            "  their hooks put TXT records, as pebble-challtestsrv takes them: {}/set-txt",
            manage.url()
        );
        let line = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        line.await??;
        Ok(())
    }

    fn tell(&self, line: &str) {
        std::thread::sleep(self.pause);
        println!("{line}");
    }

    fn forget(&self) {
        self.world.ca.forget_calls();
        self.world.cloud.forget_calls();
        self.world.dns.forget_queries();
    }
}

fn show(progress: Progress) {
    if let Progress::Line(line) = progress {
        line.lines()
            .flat_map(|line| wrapped(line, WIDTH - 4))
            .for_each(|line| println!("  | {line}"));
    }
}

fn ca_line(call: &certferry_sandbox::ca::Call) -> Option<String> {
    let what = match call.kind.as_str() {
        "newAccount" => "an account is registered",
        "newOrder" => "an order is placed",
        "challenge" => "a challenge is answered: the CA asks the DNS",
        "finalize" => "the CSR comes",
        "certificate" => "the certificate is fetched",
        _ => return None,
    };
    if call.ending != Ending::Done {
        return None;
    }
    Some(format!(
        "CA     {what}{}",
        if call.kind == "newOrder" {
            format!(" for {}", call.names.join(", "))
        } else {
            String::new()
        }
    ))
}

fn cloud_line(call: &certferry_sandbox::cloud::Call) -> String {
    let of = match call.action.as_str() {
        "AddDomainRecord" => format!("{}.{} TXT", call.param("RR"), call.param("DomainName")),
        "DeleteDomainRecord" => "by its id".to_owned(),
        _ => call.param("DomainName").to_owned(),
    };
    format!("cloud  {} {of}", call.action)
}

/// Alike neighbours become one, with their number.
fn folded(lines: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut folded: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match folded.last_mut() {
            Some((last, times)) if *last == line => *times += 1,
            _ => folded.push((line, 1)),
        }
    }
    folded
}

/// A line in pieces that fit, broken at blanks; the pieces after the first stand further in.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    if line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let mut lines = vec![" ".repeat(indent)];
    for word in line.split_whitespace() {
        let last = lines.len() - 1;
        let is_begun = !lines[last].trim().is_empty();
        if is_begun && lines[last].chars().count() + 1 + word.chars().count() > width {
            lines.push(" ".repeat(indent + 4) + word);
        } else {
            lines[last] += if is_begun { " " } else { "" };
            lines[last] += word;
        }
    }
    lines
}
