//! Places for requests that take long. There are fewer than workers, so that some are always free for
//! the pages, whatever is being waited for.

use super::throttle::network;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// So many places.
pub struct Places {
    taken: Mutex<Vec<Option<u64>>>,
    most: usize,
    most_of_one: usize,
}

/// One of them, until it is dropped.
pub struct Place<'a> {
    places: &'a Places,
    client: Option<u64>,
}

impl Places {
    /// So many, of which one client can have some.
    pub fn new(most: usize, most_of_one: usize) -> Self {
        Self { taken: Mutex::new(Vec::with_capacity(most)), most, most_of_one }
    }

    /// A place for a client, if one is free for it.
    pub fn enter(&self, client: Option<IpAddr>) -> Option<Place<'_>> {
        let client = client.map(network);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.iter().filter(|other| **other == client).count();
        if taken.len() >= self.most || own >= self.most_of_one {
            return None;
        }
        taken.push(client);
        Some(Place { places: self, client })
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
