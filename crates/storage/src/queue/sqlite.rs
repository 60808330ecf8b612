//! A queue in an SQLite file, shared by any number of processes on one machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};

use super::{Clock, Dead, Depth, Message, Port, RECEIVES_MAX, Receipt, VISIBILITY};
use crate::local::blocking;
use crate::{Error, Kind};

/// How long to wait for other processes' transactions. Each takes a few milliseconds: a longer wait is for a hanging process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between tries where SQLite itself does not wait.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// How often a waiting receiver looks for messages.
const POLL_EVERY: Duration = Duration::from_millis(100);

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    -- What was sent survives a power failure.
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX IF NOT EXISTS messages_by_visibility ON messages (visible_ms, id);
    CREATE TABLE IF NOT EXISTS dead (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        body TEXT NOT NULL,
        reason TEXT NOT NULL,
        receives INTEGER NOT NULL
    );";

pub(super) struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    uri: String,
    clock: Clock,
}

impl Sqlite {
    pub(super) async fn open(uri: &str, path: &str, clock: Clock) -> Result<Self, Error> {
        let path = PathBuf::from(path);
        let connection = blocking(move || Ok(connect(&path))).await;
        let connection = connection.map_err(|error| Error::io("open", uri, error))?;
        let connection = connection.map_err(|error| failed("open", uri, error))?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), uri: uri.to_owned(), clock })
    }

    /// Runs one transaction on a thread that may block.
    async fn transact<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (connection, now_ms) = (self.connection.clone(), milliseconds((self.clock)()));
        let done = blocking(move || {
            let mut connection = connection.lock();
            // A transaction that begins with a read could find that another one wrote before its own write.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            Ok(transaction.and_then(|transaction| {
                let done = work(&transaction, now_ms)?;
                transaction.commit().map(|()| done)
            }))
        });
        let done = done.await.map_err(|error| Error::io(operation, &self.uri, error))?;
        done.map_err(|error| failed(operation, &self.uri, error))
    }

    /// Returns the message of a receipt, and the reception that the receipt is valid for.
    fn held(&self, operation: &'static str, receipt: &Receipt) -> Result<(i64, i64), Error> {
        let held = receipt.0.split_once('.').and_then(|(id, count)| Some((id.parse().ok()?, count.parse().ok()?)));
        held.ok_or_else(|| Error::invalid(operation, &self.uri, "the receipt is of another queue"))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    if let Some(folder) = path.parent() {
        // If this fails, opening the file fails with a better error.
        let _ = std::fs::create_dir_all(folder);
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let start = std::time::Instant::now();
    loop {
        match connection.execute_batch(TABLES) {
            // If several processes open a new file at once, one changes its journal mode. SQLite does not make the others wait.
            Err(error) if is_busy(&error) && start.elapsed() < BUSY_TIMEOUT => std::thread::sleep(BUSY_WAIT),
            made => return made.map(|()| connection),
        }
    }
}

#[async_trait]
impl Port for Sqlite {
    async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        let bodies = bodies.to_vec();
        let send = move |transaction: &Transaction<'_>, now_ms| {
            let mut insert =
                transaction.prepare_cached("INSERT INTO messages (body, sent_ms, visible_ms) VALUES (?1, ?2, ?2)")?;
            bodies.iter().try_for_each(|body| insert.execute(params![body, now_ms]).map(drop))
        };
        self.transact("send to", send).await
    }

    async fn receive(&self, count_max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Message>, Error> {
        let waited = std::time::Instant::now();
        loop {
            let take = move |transaction: &Transaction<'_>, now_ms| take(transaction, count_max, now_ms, visibility);
            let messages = self.transact("receive from", take).await?;
            if !messages.is_empty() || waited.elapsed() >= wait {
                return Ok(messages);
            }
            tokio::time::sleep(POLL_EVERY.min(wait)).await;
        }
    }

    async fn extend(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error> {
        const OPERATION: &str = "extend messages of";
        let visible_in_ms = i64::try_from(visible_in.as_millis()).unwrap_or(i64::MAX / 2);
        let held = receipts.iter().map(|receipt| self.held(OPERATION, receipt)).collect::<Result<Vec<_>, _>>()?;
        let extend = move |transaction: &Transaction<'_>, now_ms: i64| {
            let update = "UPDATE messages SET visible_ms = ?3 WHERE id = ?1 AND receives = ?2";
            let mut update = transaction.prepare_cached(update)?;
            let until = now_ms + visible_in_ms;
            held.into_iter().map(|(id, receives)| Ok(update.execute(params![id, receives, until])? > 0)).collect()
        };
        self.transact(OPERATION, extend).await
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        const OPERATION: &str = "acknowledge messages of";
        let held = receipts.iter().map(|receipt| self.held(OPERATION, receipt)).collect::<Result<Vec<_>, _>>()?;
        let delete = move |transaction: &Transaction<'_>, _| {
            let mut delete = transaction.prepare_cached("DELETE FROM messages WHERE id = ?1 AND receives = ?2")?;
            held.into_iter().map(|(id, receives)| Ok(delete.execute(params![id, receives])? > 0)).collect()
        };
        self.transact(OPERATION, delete).await
    }

    async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        const OPERATION: &str = "bury a message of";
        let reason = reason.to_owned();
        let (id, receives) = self.held(OPERATION, &message.receipt)?;
        let bury = move |transaction: &Transaction<'_>, _| {
            transaction.execute(
                "INSERT INTO dead (body, reason, receives)
                 SELECT body, ?3, receives FROM messages WHERE id = ?1 AND receives = ?2",
                params![id, receives, reason],
            )?;
            transaction.execute("DELETE FROM messages WHERE id = ?1 AND receives = ?2", params![id, receives])
        };
        match self.transact(OPERATION, bury).await? {
            0 => Err(Error::conflict(OPERATION, &self.uri)),
            _ => Ok(()),
        }
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let depth = |transaction: &Transaction<'_>, now_ms: i64| {
            let count = |query: &str| {
                let count = transaction.query_row(query, params![now_ms], |row| row.get::<_, i64>(0));
                count.map(|count| count.max(0) as u64)
            };
            let oldest: Option<i64> =
                transaction.query_row("SELECT min(sent_ms) FROM messages", [], |row| row.get(0))?;
            Ok(Depth {
                visible: count("SELECT count(*) FROM messages WHERE visible_ms <= ?1")?,
                in_flight: count("SELECT count(*) FROM messages WHERE visible_ms > ?1")?,
                delayed: 0,
                dead: count("SELECT count(*) FROM dead WHERE ?1 IS NOT NULL")?,
                oldest_age: oldest.map(|sent_ms| Duration::from_millis((now_ms - sent_ms).max(0) as u64)),
            })
        };
        self.transact("look at", depth).await
    }

    async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error> {
        let dead = move |transaction: &Transaction<'_>, _| {
            let mut select =
                transaction.prepare_cached("SELECT body, reason, receives FROM dead ORDER BY id LIMIT ?1")?;
            let dead = |row: &rusqlite::Row<'_>| {
                Ok(Dead { body: row.get(0)?, reason: row.get(1)?, receive_count: row.get(2)? })
            };
            select.query_map(params![count_max as i64], dead)?.collect()
        };
        self.transact("look at", dead).await
    }

    async fn redrive(&self) -> Result<u64, Error> {
        let redrive = |transaction: &Transaction<'_>, now_ms: i64| {
            let count = transaction.execute(
                "INSERT INTO messages (body, sent_ms, visible_ms) SELECT body, ?1, ?1 FROM dead ORDER BY id",
                params![now_ms],
            )?;
            transaction.execute("DELETE FROM dead", [])?;
            Ok(count as u64)
        };
        self.transact("redrive", redrive).await
    }

    fn has_dead_letters(&self) -> bool {
        true
    }

    fn visibility(&self) -> Duration {
        VISIBILITY
    }
}

/// Takes the oldest visible messages; those received too often become dead letters instead.
fn take(
    transaction: &Transaction<'_>,
    count_max: usize,
    now_ms: i64,
    visibility: Duration,
) -> rusqlite::Result<Vec<Message>> {
    transaction.execute(
        "INSERT INTO dead (body, reason, receives)
         SELECT body, 'received ' || receives || ' times and never done', receives
         FROM messages WHERE visible_ms <= ?1 AND receives >= ?2 ORDER BY id",
        params![now_ms, RECEIVES_MAX],
    )?;
    transaction
        .execute("DELETE FROM messages WHERE visible_ms <= ?1 AND receives >= ?2", params![now_ms, RECEIVES_MAX])?;
    let mut select = transaction.prepare_cached(
        "SELECT id, body, receives, sent_ms FROM messages WHERE visible_ms <= ?1 ORDER BY id LIMIT ?2",
    )?;
    let found = select.query_map(params![now_ms, count_max as i64], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?, row.get::<_, i64>(3)?))
    })?;
    let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
    let visible_ms = now_ms + visibility.as_millis() as i64;
    let mut update =
        transaction.prepare_cached("UPDATE messages SET visible_ms = ?2, receives = receives + 1 WHERE id = ?1")?;
    let mut messages = Vec::with_capacity(found.len());
    for (id, body, receives, sent_ms) in found {
        update.execute(params![id, visible_ms])?;
        messages.push(Message {
            body,
            // The next reception raises the count, which makes this receipt invalid.
            receipt: Receipt(format!("{id}.{}", receives + 1)),
            receive_count: receives + 1,
            sent_at: Some(UNIX_EPOCH + Duration::from_millis(sent_ms.max(0) as u64)),
        });
    }
    Ok(messages)
}

fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn failed(operation: &'static str, uri: &str, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Kind::Full,
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Kind::Denied,
        Some(ErrorCode::CannotOpen | ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Kind::Invalid,
        _ => Kind::Unavailable,
    };
    Error::with(kind, operation, uri, error.to_string())
}
