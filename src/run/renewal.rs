//! When lineages are renewed: the CA's word, asked for and remembered.

use anyhow::Context as _;

use super::Run;
use crate::ari::Asker;
use crate::cert::Cert;
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
        let directory = &self.config.acme.directory;
        let Some(id) = look::to_ask(lineage, seen, directory, now) else { return false };
        let Some(asker) = self.asker() else { return false };
        let asked = look::renewal(asker, id, &seen.memory, now);
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

    /// Opened by the first who asks. A caller that is waited for, a hook's, does not ask.
    fn asker(&self) -> Option<&Asker> {
        if self.deadline.is_some() {
            return None;
        }
        if let Some(asker) = self.asker.get() {
            return Some(asker);
        }
        match self.acme_http() {
            Ok(http) => {
                Some(self.asker.get_or_init(|| Asker::new(http, &self.config.acme.directory)))
            }
            Err(error) => {
                self.warn(crate::told::text(&error));
                None
            }
        }
    }

    /// A chain that does not lead where the configuration wants it is better than none.
    pub(super) fn tell_chain(&self, name: &str, cert: &Cert) {
        let Some(wanted) = &self.config.acme.preferred_chain else { return };
        if cert.leads_to() != wanted {
            self.warn(format!(
                "{name}: the CA offers no chain to `{wanted}`; the one taken leads to `{}`\nhelp: correct `preferred_chain` of [acme], or take it out",
                cert.leads_to()
            ));
        }
    }

    /// The client that trusts the CA's own root.
    pub(super) fn acme_http(&self) -> anyhow::Result<Http> {
        let Some(file) = &self.config.acme.ca_file else { return Ok(self.http.clone()) };
        if let Some(http) = self.acme_http.get() {
            return Ok(http.clone());
        }
        let roots = super::read_roots(file, "acme.ca_file").context("the CA cannot be asked")?;
        Ok(self.acme_http.get_or_init(|| Http::trusting(roots)).clone())
    }
}
