//! DNS-01 (RFC 8555, 8.4): puts the values, waits until they show, has the CA look, takes away exactly what was put.
//!
//! One function holds all of it. What was put is taken away whatever happened, also after the word to stop, within a time
//! of its own; a `Drop` could not wait for it. The journal knows of each value before the DNS does, so a kill loses none.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use crate::dns::{Access, Accesses, Asker, Dns, NotPut, Wanted};
use crate::ground::{Ground, Say};
use crate::journal::Record;
use crate::store::{LockError, Store, Wait};

pub use self::seat::{Seat, Seats};

/// Proves names to a CA by the DNS accesses of the configuration, and cleans up after runs that could not.
pub struct Prover {
    accesses: Accesses,
    store: Store,
    ground: Ground,
    /// Opened when first needed, then kept: an access knows its zones.
    open: RefCell<BTreeMap<String, Rc<Opened>>>,
}

/// Whose records they are.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// The lineage.
    pub lineage: &'a str,
    /// Name of the `[dns.NAME]`.
    pub dns: &'a str,
    /// URL of the order.
    pub order: &'a str,
}

/// A name to prove, and the TXT value by which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The name without `*.`.
    pub name: String,
    /// The digest of the key authorization in base64url.
    pub value: String,
}

/// How a proof ended, and what it left behind.
#[derive(Debug)]
pub struct Proved<T, E> {
    /// What the body answered, or why it did not.
    pub result: Result<T, Halt<E>>,
    /// Values that could not be taken away, and why. They stay in the journal for [`Prover::repair`].
    pub left: Vec<String>,
}

/// Why a body did not answer.
#[derive(Debug)]
pub enum Halt<E> {
    /// The word to stop came.
    Stopped,
    /// The values could not be put or did not show; the body was not begun.
    Unready(anyhow::Error),
    /// The body's own error.
    Body(E),
}

/// An opened access: how values are put, and how they are seen.
struct Opened {
    dns: Rc<dyn Dns>,
    look: Rc<dyn Look>,
    propagation: Duration,
    settle: Duration,
    /// Who may make ready and put.
    putting: Semaphore,
}

/// What must be asked of the DNS. A trait, so that tests need no server.
trait Look {
    fn follow<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<String>>;
    fn shown<'a>(
        &'a self,
        wanted: &'a [Wanted],
        limit: Duration,
    ) -> LocalBoxFuture<'a, anyhow::Result<Vec<String>>>;
}

impl Look for Asker {
    fn follow<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, anyhow::Result<String>> {
        Self::follow(self, name).boxed_local()
    }

    fn shown<'a>(
        &'a self,
        wanted: &'a [Wanted],
        limit: Duration,
    ) -> LocalBoxFuture<'a, anyhow::Result<Vec<String>>> {
        Self::shown(self, wanted, limit).boxed_local()
    }
}

impl Prover {
    /// Proves by these accesses; none is opened yet.
    #[must_use]
    pub fn new(accesses: Accesses, store: Store, ground: Ground) -> Self {
        Self { accesses, store, ground, open: RefCell::default() }
    }

    /// Puts all values, waits until they show, runs `body`, and takes away what was put. The word to stop drops the
    /// waiting; a body that has begun has a moment left, since a CA that looks for what was just taken away counts that as
    /// a failure. Taking away then has 2.5 s, else 60 s and 2 s more for each value. Values that the journal knows of this
    /// order are adopted. Only the body needs the `seat`: afterwards it is given away. The caller holds the lineage's lock.
    pub async fn prove<T, E>(
        &self,
        purpose: Purpose<'_>,
        proofs: &[Proof],
        seat: &mut Seat,
        body: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Proved<T, E> {
        let mut placed = Vec::new();
        let result = match self.place(purpose, proofs, seat, &mut placed).await {
            Ok(()) => self.look_at(seat, body).await,
            Err(halt) => Err(halt),
        };
        seat.give_away();
        Proved { result, left: self.clean_up(&placed).await }
    }

    /// Runs `body` on a seat. At the word to stop it is not begun.
    async fn look_at<T, E>(
        &self,
        seat: &mut Seat,
        body: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, Halt<E>> {
        self.or_stop(seat.take().map(Ok)).await?;
        let done = self.ground.soon_after_stop(body()).await;
        done.ok_or(Halt::Stopped)?.map_err(Halt::Body)
    }

    /// Asks the DNS as the `[dns.NAME]` of this name says, for what others have put.
    #[must_use]
    pub fn asker(&self, dns: &str) -> Asker {
        self.accesses.asker(dns)
    }

    /// Takes away what the journal knows of an order that will not be carried on; answers what could not be. The caller
    /// holds the lineage's lock.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn abandon(&self, lineage: &str, order: &str) -> anyhow::Result<Vec<String>> {
        Ok(self.clean_up(&self.journaled(lineage, order).await?).await)
    }

    /// Takes away the values that belong to no order under way of these lineages: what a killed run, or a lineage that
    /// is gone from the configuration, left behind. Answers what could not be taken away, and why. Lineages at which
    /// this run or another works are let alone: their locks are taken. It ends after 120 s, and at once at the
    /// word to stop.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn repair(&self, lineages: &BTreeSet<&str>) -> anyhow::Result<Vec<String>> {
        let mut of_lineage: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for record in on_disk(&self.store, Store::records).await? {
            of_lineage.entry(record.lineage.clone()).or_default().push(record);
        }
        let end = Instant::now() + REPAIR;
        let mut left = Vec::new();
        for (lineage, records) in of_lineage {
            left.extend(self.repair_lineage(&lineage, records, lineages, end).await?);
        }
        Ok(left)
    }

    async fn repair_lineage(
        &self,
        lineage: &str,
        records: Vec<Record>,
        lineages: &BTreeSet<&str>,
        end: Instant,
    ) -> anyhow::Result<Vec<String>> {
        let (stop, say) = (&self.ground.stop, &Say::nothing());
        let at_once = Wait { until: Some(Instant::now()), stop, say };
        let _lock = match self.store.lock_lineage(lineage, at_once).await {
            Ok(lock) => lock,
            Err(LockError::Held { .. } | LockError::Stopped) => return Ok(Vec::new()),
            Err(LockError::Io(error)) => return Err(error),
        };
        let name = lineage.to_owned();
        let memory = on_disk(&self.store, move |store| store.lineage(&name)).await?;
        let order = memory.order.filter(|_| lineages.contains(lineage)).map(|order| order.url);
        let stray: Vec<_> =
            records.into_iter().filter(|record| Some(&record.order) != order.as_ref()).collect();
        let over = async {
            tokio::select! {
                () = sleep_until(end) => {}
                () = stop.cancelled() => {}
            }
        };
        Ok(self.take_away(&stray, over).await)
    }

    /// Puts the values and waits until they show. `placed` holds what must be taken away, from before each put on.
    async fn place<E>(
        &self,
        purpose: Purpose<'_>,
        proofs: &[Proof],
        seat: &mut Seat,
        placed: &mut Vec<Record>,
    ) -> Result<(), Halt<E>> {
        *placed = self.journaled(purpose.lineage, purpose.order).await.map_err(Halt::Unready)?;
        if proofs.is_empty() {
            return Ok(());
        }
        seat.give_away();
        let access = self.access(purpose.dns).map_err(Halt::Unready)?;
        let records = self.put_all(purpose, &access, proofs, placed).await?;
        let wanted = wanted(&records);
        let silent = self.ready(access.look.shown(&wanted, access.propagation)).await?;
        for server in silent {
            self.ground.say.line(format!("{}: the DNS server {server}", purpose.lineage));
        }
        self.ready(sleep(access.settle).map(Ok)).await
    }

    /// Puts the records of the proofs; a provider is asked by a few orders at once.
    async fn put_all<E>(
        &self,
        purpose: Purpose<'_>,
        access: &Opened,
        proofs: &[Proof],
        placed: &mut Vec<Record>,
    ) -> Result<Vec<Record>, Halt<E>> {
        let _turn = self.ready(async { Ok(access.putting.acquire().await?) }).await?;
        let records = self.ready(self.records(purpose, access, proofs)).await?;
        for record in &records {
            self.put(access, record, placed).await?;
        }
        Ok(records)
    }

    /// What an earlier run put, or was about to put, for this order.
    async fn journaled(&self, lineage: &str, order: &str) -> anyhow::Result<Vec<Record>> {
        let all = on_disk(&self.store, Store::records).await?;
        let ours = |record: &Record| record.order == order && record.lineage == lineage;
        Ok(all.into_iter().filter(ours).collect())
    }

    /// The records of the proofs, where their CNAMEs lead.
    async fn records(
        &self,
        purpose: Purpose<'_>,
        access: &Opened,
        proofs: &[Proof],
    ) -> anyhow::Result<Vec<Record>> {
        let places = places(access, proofs).await?;
        let mut records = Vec::new();
        for Proof { name, value } in proofs {
            let place = places.get(name.as_str()).cloned().unwrap_or_default();
            records.push(Record {
                lineage: purpose.lineage.to_owned(),
                dns: purpose.dns.to_owned(),
                name: place,
                value: value.clone(),
                id: None,
                order: purpose.order.to_owned(),
            });
        }
        Ok(records)
    }

    /// The intent to the journal, the value to the DNS, its id to the journal.
    async fn put<E>(
        &self,
        access: &Opened,
        record: &Record,
        placed: &mut Vec<Record>,
    ) -> Result<(), Halt<E>> {
        let known = placed.iter().find(|known| is_same(known, record));
        if known.is_some_and(|known| known.id.is_some()) {
            return Ok(());
        }
        let is_new = known.is_none();
        if is_new {
            self.note(record).await.map_err(Halt::Unready)?;
            placed.push(record.clone());
        }
        let id = match self.ready(access.dns.put(&record.name, &record.value)).await {
            Ok(id) => id,
            Err(halt) => {
                if is_new && surely_not_put(&halt) {
                    self.unnote(record, placed).await.map_err(Halt::Unready)?;
                }
                return Err(halt);
            }
        };
        let Some(known) = placed.iter_mut().find(|known| is_same(known, record)) else {
            return Ok(());
        };
        known.id = id;
        if known.id.is_some() {
            self.note(known).await.map_err(Halt::Unready)?;
        }
        Ok(())
    }

    async fn note(&self, record: &Record) -> anyhow::Result<()> {
        let record = record.clone();
        on_disk(&self.store, move |store| store.put_record(&record)).await
    }

    /// Nothing came of the intent.
    async fn unnote(&self, record: &Record, placed: &mut Vec<Record>) -> anyhow::Result<()> {
        let gone = record.clone();
        on_disk(&self.store, move |store| store.drop_record(&gone)).await?;
        placed.retain(|known| !is_same(known, record));
        Ok(())
    }

    /// Takes away what this run put, or an earlier one for the same order. The word to stop leaves it some time.
    async fn clean_up(&self, placed: &[Record]) -> Vec<String> {
        let number = u32::try_from(placed.len()).unwrap_or(u32::MAX);
        let stopped = async {
            self.ground.stop.cancelled().await;
            sleep(CLEAN_UP_WHEN_STOPPED).await;
        };
        let over = async {
            tokio::select! {
                () = sleep(CLEAN_UP + CLEAN_UP_EACH * number) => {}
                () = stopped => {}
            }
        };
        self.take_away(placed, over).await
    }

    /// Takes away what was put, until it is over; answers what could not be. Names go side by side; the values of one
    /// name do not, since some providers write all values of a name at once.
    async fn take_away(&self, placed: &[Record], over: impl Future<Output = ()>) -> Vec<String> {
        let over = over.boxed_local().shared();
        let mut of_name: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
        for record in placed {
            of_name.entry((&record.dns, &record.name)).or_default().push(record);
        }
        let names = of_name.into_values().map(|records| self.take_in_turn(records, over.clone()));
        let left: Vec<_> = stream::iter(names).buffered(SIDE_BY_SIDE).collect().await;
        left.concat()
    }

    async fn take_in_turn(
        &self,
        records: Vec<&Record>,
        over: impl Future<Output = ()> + Clone,
    ) -> Vec<String> {
        let mut left = Vec::new();
        for record in records {
            let removed = tokio::select! {
                biased;
                () = over.clone() => Err(anyhow::anyhow!("no time was left")),
                removed = self.remove(record) => removed,
            };
            if let Err(error) = removed {
                let Record { name, value, dns, .. } = record;
                left.push(format!(
                    "the TXT value {value} at {name} cannot be taken away by `[dns.{dns}]`: {error:#}"
                ));
            }
        }
        left
    }

    async fn remove(&self, record: &Record) -> anyhow::Result<()> {
        let access = self.access(&record.dns)?;
        access.dns.take_away(&record.name, &record.value, record.id.as_deref()).await?;
        let record = record.clone();
        on_disk(&self.store, move |store| store.drop_record(&record)).await
    }

    /// The access of this name, opened when first asked for.
    fn access(&self, name: &str) -> anyhow::Result<Rc<Opened>> {
        if let Some(access) = self.open.borrow().get(name) {
            return Ok(Rc::clone(access));
        }
        let keep = Rc::new(keep::InStore(self.store.clone()));
        let Access { dns, asker, propagation, settle } = self.accesses.open(name, keep)?;
        let putting = Semaphore::new(SIDE_BY_SIDE);
        let access = Rc::new(Opened { dns, look: asker, propagation, settle, putting });
        self.open.borrow_mut().insert(name.to_owned(), Rc::clone(&access));
        Ok(access)
    }

    /// Work that makes ready; dropped at the word to stop.
    async fn ready<T, E>(
        &self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> Result<T, Halt<E>> {
        self.or_stop(async { work.await.map_err(Halt::Unready) }).await
    }

    async fn or_stop<T, E>(
        &self,
        work: impl Future<Output = Result<T, Halt<E>>>,
    ) -> Result<T, Halt<E>> {
        tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => Err(Halt::Stopped),
            done = work => done,
        }
    }
}

/// Where the records of the proofs stand, by name. All that people must set first is told at once.
async fn places<'a>(
    access: &Opened,
    proofs: &'a [Proof],
) -> anyhow::Result<BTreeMap<&'a str, String>> {
    let mut places = BTreeMap::new();
    let mut missing: Vec<String> = Vec::new();
    let names: BTreeSet<&str> = proofs.iter().map(|proof| proof.name.as_str()).collect();
    for name in names {
        let challenge = format!("_acme-challenge.{name}");
        let place = access.look.follow(&challenge).await?;
        if let Err(error) = access.dns.make_ready(&challenge, &place).await {
            missing.push(format!("{error:#}"));
        }
        places.insert(name, place);
    }
    anyhow::ensure!(missing.is_empty(), missing.join("\n"));
    Ok(places)
}

/// Works on the store in a thread that may wait for the disk.
pub(crate) async fn on_disk<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store))
        .await
        .context("work on the store ended early")?
}

/// The journal knows a record by these.
fn is_same(one: &Record, other: &Record) -> bool {
    one.dns == other.dns
        && one.name == other.name
        && one.value == other.value
        && one.order == other.order
}

fn surely_not_put<E>(halt: &Halt<E>) -> bool {
    match halt {
        Halt::Unready(error) => error.is::<NotPut>(),
        Halt::Stopped | Halt::Body(_) => false,
    }
}

fn wanted(records: &[Record]) -> Vec<Wanted> {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for record in records {
        values.entry(&record.name).or_default().insert(record.value.clone());
    }
    values.into_iter().map(|(name, values)| Wanted { name: name.to_owned(), values }).collect()
}

/// A provider that throttles takes its time; the certificate is already on its way.
const CLEAN_UP: Duration = Duration::from_secs(60);

/// A hundred names of a slow provider need it: a call each, and a program may take seconds.
const CLEAN_UP_EACH: Duration = Duration::from_secs(2);

/// For all that killed runs left: what remains is tried again at the next run, in an hour.
const REPAIR: Duration = Duration::from_secs(120);

/// Orders that put their values at once by one access, and names from which an order takes them away at once: providers
/// have limits, and programs need memory.
const SIDE_BY_SIDE: usize = 8;

/// After SIGTERM: with the body's moment, less than the five seconds after which impatient supervisors kill.
const CLEAN_UP_WHEN_STOPPED: Duration = Duration::from_millis(2500);

mod keep;
mod seat;
#[cfg(test)]
mod tests;
