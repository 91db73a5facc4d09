//! Places for requests that take long. There are fewer than workers, so that some are always free for
//! the pages, whatever is being waited for.

use crate::model::ClientNetworks;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// So many places.
pub struct Places {
    taken: Mutex<Vec<ClientNetworks>>,
    most: usize,
    most_of_one: usize,
}

/// One of them, until it is dropped.
pub struct Place<'a> {
    places: &'a Places,
    client: ClientNetworks,
}

impl Places {
    /// So many, of which one client can have some.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { taken: Mutex::new(Vec::with_capacity(most)), most, most_of_one }
    }

    /// A place for a client, if one is free for it.
    pub fn enter(&self, client: Option<IpAddr>) -> Option<Place<'_>> {
        let client = ClientNetworks::of(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.most || !client.has_room(&taken, self.most_of_one, self.most) {
            return None;
        }
        taken.push(client);
        Some(Place { places: self, client })
    }

    /// Return a place for a client that keeps it for long, if half of all are free.
    pub fn enter_for_long(&self, client: Option<IpAddr>) -> Option<Place<'_>> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).len();
        if 2 * taken >= self.most { None } else { self.enter(client) }
    }

    /// How many are taken at this moment.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = taken.iter().position(|client| *client == self.client) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_of_one_client_who_wait_leave_places_for_others() {
        let bench = crate::portal::testing::Bench::new();
        let (a, b) = ("192.0.2.7".parse().ok(), "198.51.100.9".parse().ok());
        let _taken: Vec<_> = (0..16).filter_map(|_| bench.app.waiting.enter(a)).collect();
        assert!(bench.app.waiting.enter(b).is_some());
    }

    #[test]
    fn those_who_wait_for_long_leave_half_of_the_places() {
        let places = Places::new(4, 2);
        let client = |n: u8| format!("192.0.{n}.7").parse().ok();
        let long: Vec<_> = (0..9).filter_map(|n| places.enter_for_long(client(n))).collect();
        let short: Vec<_> = (10..19).filter_map(|n| places.enter(client(n))).collect();
        assert_eq!((long.len(), short.len()), (2, 2));
        assert!(places.enter_for_long(client(20)).is_none());
    }

    #[test]
    fn places_are_few_and_no_client_takes_them_all() {
        let places = Places::new(3, 2);
        let (a, b) = ("192.0.2.7".parse().ok(), "198.51.100.9".parse().ok());
        let first = places.enter(a).unwrap();
        let _second = places.enter(a).unwrap();
        assert!(places.enter(a).is_none());
        let _third = places.enter(b).unwrap();
        assert!(places.enter(b).is_none() && places.enter(None).is_none());
        drop(first);
        assert!(places.enter(a).is_some());
    }
}
