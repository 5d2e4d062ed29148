//! The pace in paused time, and what other processes left in its file.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use tokio::time::Instant;

use super::*;

const STEP: Duration = Duration::from_millis(104);

/// A pace whose ticks are tokio's, so that paused time moves it.
fn pace(locks: Option<&Path>) -> Pace {
    let start = Instant::now();
    Pace::ticking("id", locks, Arc::new(move || Duration::from_secs(1000) + start.elapsed()))
}

/// When `count` calls leave, asked for at once, in milliseconds.
async fn leavings(pace: &Pace, count: usize) -> Vec<u128> {
    let start = Instant::now();
    let calls = (0..count).map(|_| async {
        pace.leave("Upload", STEP).await;
        start.elapsed().as_millis()
    });
    futures_util::future::join_all(calls).await
}

fn check_gaps(row: &str, times: &[u128], least: u128, most: u128) {
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!((least..=most).contains(&gap), "{row}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_burst_from_the_first_on() {
    let times = leavings(&pace(None), 20).await;
    assert_eq!(times[0], 0);
    check_gaps("in memory", &times, 104, 106);
}

#[tokio::test(start_paused = true)]
async fn lanes_are_independent() {
    let pace = pace(None);
    let start = Instant::now();
    pace.leave("Upload", STEP).await;
    pace.leave("Look", STEP).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn throttled_is_half_the_pace_for_a_minute() {
    let pace = pace(None);
    pace.slow_down("Upload");
    check_gaps("slow", &leavings(&pace, 5).await, 208, 210);
    sleep(SLOW).await;
    check_gaps("as before", &leavings(&pace, 5).await, 104, 106);
}

#[tokio::test(start_paused = true)]
async fn two_runs_share_it_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (pace(Some(folder.path())), pace(Some(folder.path())));
    let (a, b) = futures_util::join!(leavings(&one, 5), leavings(&two, 5));
    let mut all = [a, b].concat();
    all.sort_unstable();
    check_gaps("both", &all, 104, 120);
}

/// Whatever is there in place of a sound file, a call leaves at once, and the next one in its time.
async fn check_file(row: &str, make: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    make(&folder.path().join(file_name("id")));
    let times = leavings(&pace(Some(folder.path())), 3).await;
    assert_eq!(times[0], 0, "{row}");
    check_gaps(row, &times, 104, 110);
}

#[tokio::test(start_paused = true)]
async fn files_that_are_not_sound() {
    check_file("none", |_| {}).await;
    check_file("empty", |path| std::fs::write(path, "").unwrap()).await;
    check_file("garbage", |path| std::fs::write(path, b"\xff\xfe\n").unwrap()).await;
    check_file("words", |path| std::fs::write(path, "Upload soon later\nUpload\n\n").unwrap())
        .await;
    check_file("of a boot before", |path| {
        std::fs::write(path, "Upload 9000000000 9000000000\n").unwrap()
    })
    .await;
    check_file("numbers too large", |path| {
        std::fs::write(path, format!("Upload {} 1\n", u64::MAX)).unwrap()
    })
    .await;
    check_file("a folder", |path| std::fs::create_dir(path).unwrap()).await;
    check_file("a link", |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap()).await;
    check_file("no folder", |path| std::fs::remove_dir(path.parent().unwrap()).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_run_left_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name("id"));
    std::fs::write(&path, "Other 7 8\nUpload 1000500000 1050000000\n").unwrap();
    let times = leavings(&pace(Some(folder.path())), 3).await;
    assert!((500..503).contains(&times[0]), "{times:?}");
    check_gaps("their slow down is ours", &times, 208, 212);
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Other 7 8\n"));
}

#[tokio::test(start_paused = true)]
async fn the_slowest_pace_is_kept_between_runs() {
    let folder = tempfile::tempdir().unwrap();
    let slowest = super::super::SLOWEST;
    let (start, one, two) = (Instant::now(), pace(Some(folder.path())), pace(Some(folder.path())));
    one.slow_down("Upload");
    one.leave("Upload", slowest).await;
    two.leave("Upload", slowest).await;
    assert_eq!(start.elapsed().as_secs(), (slowest * 2).as_secs());
}

/// Time stands still for threads, so all of it is the waiting for the lock.
#[tokio::test(start_paused = true)]
async fn one_that_hangs_with_the_lock_holds_us_up_once() {
    let folder = tempfile::tempdir().unwrap();
    let held = File::create(folder.path().join(file_name("id"))).unwrap();
    held.lock().unwrap();
    let times = leavings(&pace(Some(folder.path())), 5).await;
    assert_eq!(times[0], (LOCK_PAUSE * LOCK_TRIES).as_millis());
    check_gaps("then by memory", &times, 104, 106);
}

#[test]
fn the_file_tells_no_key() {
    assert_eq!(file_name("id").len(), "pace-0123456789abcdef.lock".len());
    assert_ne!(file_name("id"), file_name("ie"));
    assert!(!file_name("LTAIexample").contains("LTAI"));
}

#[test]
fn ticks_move() {
    let before = since_boot();
    assert!(!before.is_zero() && since_boot() >= before);
}
