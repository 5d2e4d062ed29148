//! What other clients have on this machine, by the table of their layouts.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cert::Cert;
use crate::check::{Fault, Roots, check};
use crate::config::CdnDomain;
use crate::ground::Env;
use crate::init::{Caught, Found, Held, LAYOUTS, Layout};
use crate::{look, store, told};

/// A client's folder that is to be looked through.
#[derive(Clone, Debug)]
pub(super) struct Home {
    layout: Layout,
    pub(super) path: PathBuf,
}

impl Home {
    pub(super) fn client(&self) -> &'static str {
        self.layout.client
    }
}

/// By what it is judged whether a CDN domain may have a certificate.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) roots: &'a Roots,
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// What would keep it from every CDN domain, each with its remedy. Its dates are judged elsewhere.
    fn faults(self, cert: &Cert) -> Vec<String> {
        let name = cert.leaf().names.first();
        let Some(domain) = name.and_then(|name| CdnDomain::read(name).ok()) else {
            return Vec::new();
        };
        let faults = check(cert, &domain, self.roots, self.now).into_iter();
        let lasts =
            |fault: &Fault| !matches!(fault, Fault::Expired { .. } | Fault::NotYetValid { .. });
        faults.filter(lasts).map(|fault| format!("{fault}\nhelp: {}", fault.help())).collect()
    }
}

/// The folders of a client: the one that is said, or those of the usual ones that there are.
pub(super) fn homes(client: &str, said: Option<&Path>, env: &Env) -> Vec<Home> {
    let rows = LAYOUTS.iter().filter(|layout| layout.client == client);
    let of_row = |layout: &Layout| -> Vec<Home> {
        let layout = *layout;
        let paths: Vec<PathBuf> = match said {
            Some(path) => vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())],
            None => layout.homes(|name| env.var(name)).collect(),
        };
        let there = paths.into_iter().filter(|path| path.is_dir());
        there.map(|path| Home { layout, path }).collect()
    };
    rows.flat_map(of_row).collect()
}

/// The folders of every client that there are.
pub(super) fn every_home(env: &Env) -> Vec<Home> {
    let mut clients: Vec<&str> = LAYOUTS.iter().map(|layout| layout.client).collect();
    clients.dedup();
    clients.into_iter().flat_map(|client| homes(client, None, env)).collect()
}

/// The certificates in these folders, by client and path; and what could not be looked through, with the remedy.
pub(super) fn found(homes: &[Home], judge: Judge<'_>) -> (Vec<Found>, Vec<String>) {
    let mut refused = Vec::new();
    let mut all: Vec<Found> =
        homes.iter().flat_map(|home| of_home(home, judge, &mut refused)).collect();
    all.dedup_by(|one, other| one.source == other.source);
    refused.dedup();
    (all, refused)
}

fn of_home(home: &Home, judge: Judge<'_>, refused: &mut Vec<String>) -> Vec<Found> {
    let mut places = vec![(home.path.clone(), Caught::default())];
    for part in home.layout.parts() {
        let inner = places.iter().flat_map(|(path, caught)| below(path, caught, part, refused));
        places = inner.collect();
    }
    places.retain(|(_, caught)| home.layout.has(caught));
    places.iter().map(|(chain, caught)| look_at(home, judge, chain, caught)).collect()
}

/// What fits one part of a path. A path that goes on below a file is none of the client's.
fn below(
    path: &Path,
    caught: &Caught,
    part: &str,
    refused: &mut Vec<String>,
) -> Vec<(PathBuf, Caught)> {
    let names = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten(),
        Err(error) => {
            if ![ErrorKind::NotADirectory, ErrorKind::NotFound].contains(&error.kind()) {
                let path = path.display();
                refused.push(format!("{path} cannot be read: {error}\nhelp: run this as root, or as who owns it: ls -ld {path}"));
            }
            return Vec::new();
        }
    };
    let mut names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let fits = |name: String| Some((path.join(&name), caught.by(part, &name)?));
    names.into_iter().filter_map(fits).collect()
}

fn look_at(home: &Home, judge: Judge<'_>, chain: &Path, caught: &Caught) -> Found {
    let source = home.layout.source(&home.path, chain, caught);
    let read = store::glance(&source, look::caller());
    let held = match read {
        Ok(cert) => {
            let (leaf, key) = (cert.leaf().clone(), cert.key().kind().clone());
            Ok(Held { leaf, key, faults: judge.faults(&cert) })
        }
        Err(error) => Err(told::text(&error)),
    };
    let renews_by = home.layout.renews_by.map(|file| home.path.join(caught.fill(file)));
    Found {
        client: home.layout.client,
        name: caught.name.clone(),
        source,
        held,
        is_renewed: renews_by.is_none_or(|file| file.exists()),
    }
}
