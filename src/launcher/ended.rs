//! The sessions that have ended within the last day. Their notices are read again only when the folder
//! has changed: a day can have hundreds, and everybody's page asks for them.

use crate::session::{Notice, Store};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// Times of files are coarse: a folder that was changed so lately may change again without showing it.
const COARSE: Duration = Duration::from_secs(2);

/// What was read last.
#[derive(Default)]
pub(super) struct Ended(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// When the folder was last changed; `None`: it is to be read again in any case.
    changed: Option<SystemTime>,
    notices: Arc<Vec<Notice>>,
}

impl Ended {
    /// Return everybody's, the latest first.
    pub(super) fn notices(&self, store: &Store) -> Arc<Vec<Notice>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before it is read: a change meanwhile shows the next time.
        let (now, changed) = (SystemTime::now(), store.ended_changed());
        if changed.is_none() || changed != known.changed {
            let settled = |at: &SystemTime| now.duration_since(*at).is_ok_and(|age| age >= COARSE);
            *known = Known { changed: changed.filter(settled), notices: Arc::new(read(store)) };
        }
        Arc::clone(&known.notices)
    }
}

fn read(store: &Store) -> Vec<Notice> {
    let mut notices: Vec<_> = store.notices().into_iter().map(|(_, notice)| notice).collect();
    notices.sort_by_key(|notice| std::cmp::Reverse(notice.ended_at));
    notices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::record;
    use std::fs::{self, File};

    fn a_notice(id: &str, ended_at: u64) -> Notice {
        Notice { record: record(id, "alice"), message: String::new(), ended_at, word: None }
    }

    #[test]
    fn what_is_told_follows_the_folder_whether_it_changed_just_now_or_long_ago() {
        let root = std::env::temp_dir().join(format!("qwd-ended-{}", std::process::id()));
        let store = Store::new(&root);
        let folder = root.join("run/qemu-web-desktop/ended");
        fs::create_dir_all(&folder).unwrap();
        let ended = Ended::default();
        let told = || ended.notices(&store).iter().map(|n| n.record.id.to_string()).collect::<Vec<_>>();
        assert!(told().is_empty());
        for (n, id) in ["aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc"].into_iter().enumerate() {
            store.post(&id.parse().unwrap(), &a_notice(id, n as u64)).unwrap();
            assert_eq!(told().len(), n + 1, "at once, within the same tick of the clock");
        }
        assert_eq!(told(), ["cccccccccc", "bbbbbbbbbb", "aaaaaaaaaa"]);
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        File::open(&folder).unwrap().set_modified(hour_ago).unwrap();
        let first = ended.notices(&store);
        assert!(Arc::ptr_eq(&first, &ended.notices(&store)), "unchanged for long, it is not read again");
        store.remove_notice(&"bbbbbbbbbb".parse().unwrap()).unwrap();
        assert_eq!(told(), ["cccccccccc", "aaaaaaaaaa"]);
        fs::remove_dir_all(root).unwrap();
    }
}
