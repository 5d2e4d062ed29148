//! What other clients have on this machine, by the table of their layouts.

use std::path::{Path, PathBuf};

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

/// The certificates in these folders, by client and path.
pub(super) fn found(homes: &[Home]) -> Vec<Found> {
    let mut all: Vec<Found> = homes.iter().flat_map(of_home).collect();
    all.dedup_by(|one, other| one.source == other.source);
    all
}

fn of_home(home: &Home) -> Vec<Found> {
    let mut places = vec![(home.path.clone(), Caught::default())];
    for part in home.layout.parts() {
        places = places.iter().flat_map(|(path, caught)| below(path, caught, part)).collect();
    }
    places.retain(|(_, caught)| home.layout.has(caught));
    places.iter().map(|(chain, caught)| look_at(home, chain, caught)).collect()
}

/// What fits one part of a path. What cannot be listed has nothing: the folder above it may not be a client's at all.
fn below(path: &Path, caught: &Caught, part: &str) -> Vec<(PathBuf, Caught)> {
    let names = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let fits = |name: String| Some((path.join(&name), caught.by(part, &name)?));
    names.into_iter().filter_map(fits).collect()
}

fn look_at(home: &Home, chain: &Path, caught: &Caught) -> Found {
    let source = home.layout.source(&home.path, chain, caught);
    let read = store::glance(&source, look::caller());
    let held = match read {
        Ok(cert) => Ok(Held { leaf: cert.leaf().clone(), key: cert.key().kind().clone() }),
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
