//! When lineages are renewed: the CA's word, asked for and remembered.

use std::rc::Rc;

use super::Run;
use crate::ari::Asker;
use crate::cert::Cert;
use crate::config::Acme;
use crate::http::Http;
use crate::look;
use crate::plan::{Lineage, LineageSeen};

impl Run {
    /// Asks the CA when it wants the lineage's Cert renewed, where that is to be asked now, and remembers it.
    pub async fn ask_renewal(&self, lineage: &Lineage, seen: &mut LineageSeen) {
        if !self.hear_renewal(lineage, seen).await {
            return;
        }
        let (name, heard) = (lineage.memory(), seen.memory.ari.clone());
        self.keep(move |store| store.update_lineage(&name, |memory| memory.ari = heard)).await;
    }

    /// The same without remembering; answers whether anything was heard.
    pub async fn hear_renewal(&self, lineage: &Lineage, seen: &mut LineageSeen) -> bool {
        let now = self.ground.clock.now();
        let Some((directory, id)) = look::to_ask(lineage, seen, now) else { return false };
        let Some(asker) = self.asker(directory) else { return false };
        let asked = look::renewal(&asker, id, seen, now);
        let heard = tokio::select! {
            () = self.ground.stop.cancelled() => None,
            heard = asked => heard,
        };
        let was_heard = heard.is_some();
        if was_heard {
            seen.memory.ari = heard;
        }
        was_heard
    }

    /// Opened by the first who asks, for a CA of the configuration. A caller that is waited for, a hook's, does not ask.
    fn asker(&self, directory: &str) -> Option<Rc<Asker>> {
        let acme = self.config.ca_at(directory)?;
        if self.deadline.is_some() {
            return None;
        }
        if let Some(asker) = self.askers.borrow().get(directory) {
            return Some(Rc::clone(asker));
        }
        let asker = match self.acme_http(acme) {
            Ok(http) => Rc::new(Asker::new(http, directory)),
            Err(error) => {
                self.warn(crate::told::text(&error));
                return None;
            }
        };
        self.askers.borrow_mut().insert(directory.to_owned(), Rc::clone(&asker));
        Some(asker)
    }

    /// A chain that does not lead where the configuration wants it is better than none.
    pub(super) fn tell_chain(&self, acme: &Acme, name: &str, cert: &Cert) {
        let Some(wanted) = acme.preferred_chain.as_deref() else { return };
        if cert.as_chain().leads_to() != wanted {
            self.warn(format!(
                "{name}: the CA offers no chain to `{wanted}`; the one taken leads to `{}`\nhelp: correct `preferred_chain` of {}, or take it out",
                cert.as_chain().leads_to(),
                acme.section()
            ));
        }
    }

    /// The client that trusts a CA's own root.
    ///
    /// # Errors
    /// That file cannot be read.
    pub fn acme_http(&self, acme: &Acme) -> anyhow::Result<Http> {
        let Some(file) = &acme.ca_file else { return Ok(self.http.clone()) };
        if let Some(http) = self.acme_https.borrow().get(file) {
            return Ok(http.clone());
        }
        let root = super::read_roots(file, &format!("`ca_file` of {}", acme.section()))?;
        let http = Http::trusting(root).at_most(self.config.timeout);
        self.acme_https.borrow_mut().insert(file.clone(), http.clone());
        Ok(http)
    }
}
