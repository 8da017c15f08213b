//! Places that tenants take turns at: whoever waits, the next free place goes to the tenant that has the fewest.
//!
//! One tenant alone gets all places; as soon as another waits, the next free one is its. Nobody is turned out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use timberyard_model::TenantId;
use tokio::sync::oneshot;

/// A number of places, shared between tenants.
#[derive(Debug)]
pub(super) struct FairPlaces {
    state: Arc<Mutex<Places>>,
    places_max: usize,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct Places {
    free: usize,
    waiting: usize,
    tenants: BTreeMap<TenantId, Tenant>,
    /// Counts hand-outs, so that of tenants with equally many places the one served longest ago is next.
    turn: u64,
}

#[derive(Debug, Default)]
struct Tenant {
    taken: usize,
    served_at: u64,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place; the next one gets it when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    state: Arc<Mutex<Places>>,
    tenant: TenantId,
}

/// Why nobody even waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyWait;

/// What a request for a place comes to.
pub(super) enum Asked {
    /// A place at once.
    Taken(Place),
    /// A place to come.
    Waiting(oneshot::Receiver<Place>),
}

impl FairPlaces {
    /// So many places, and so many that may wait for one in all.
    pub(super) fn new(places_max: usize, waiting_max: usize) -> Self {
        let state = Places { free: places_max, ..Places::default() };
        Self { state: Arc::new(Mutex::new(state)), places_max, waiting_max }
    }

    /// A place for a tenant, now or later. One tenant may fill half of the waiting room while others are in it.
    pub(super) fn ask(&self, tenant: &TenantId) -> Result<Asked, TooManyWait> {
        let mut places = lock(&self.state);
        if places.free > 0 {
            places.free -= 1;
            return Ok(Asked::Taken(places.hand_out(&self.state, tenant)));
        }
        places.forget_the_gone();
        let own = places.tenants.get(tenant).map_or(0, |tenant| tenant.waiting.len());
        // The more room is taken, the less of it one tenant may add to: a newcomer always finds some.
        if places.waiting >= self.waiting_max || own > self.waiting_max - places.waiting {
            return Err(TooManyWait);
        }
        let (sender, receiver) = oneshot::channel();
        places.waiting += 1;
        places.tenants.entry(tenant.clone()).or_default().waiting.push_back(sender);
        Ok(Asked::Waiting(receiver))
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.places_max - lock(&self.state).free
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        let mut places = lock(&self.state);
        places.forget_the_gone();
        places.waiting
    }
}

impl Places {
    fn hand_out(&mut self, state: &Arc<Mutex<Self>>, tenant: &TenantId) -> Place {
        self.turn += 1;
        let entry = self.tenants.entry(tenant.clone()).or_default();
        entry.taken += 1;
        entry.served_at = self.turn;
        Place { state: Arc::clone(state), tenant: tenant.clone() }
    }

    /// Leaves out those whose clients have gone.
    fn forget_the_gone(&mut self) {
        let mut waiting = 0;
        for tenant in self.tenants.values_mut() {
            tenant.waiting.retain(|sender| !sender.is_closed());
            waiting += tenant.waiting.len();
        }
        self.waiting = waiting;
    }

    /// The next who waits, with the tenant.
    fn next(&mut self) -> Option<(TenantId, oneshot::Sender<Place>)> {
        let waits = self.tenants.iter_mut().filter(|(_, tenant)| !tenant.waiting.is_empty());
        let (name, tenant) = waits.min_by_key(|(_, tenant)| (tenant.taken, tenant.served_at))?;
        self.waiting -= 1;
        Some((name.clone(), tenant.waiting.pop_front()?))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let state = Arc::clone(&self.state);
        let mut places = lock(&state);
        if let Some(tenant) = places.tenants.get_mut(&self.tenant) {
            tenant.taken -= 1;
            if tenant.taken == 0 && tenant.waiting.is_empty() {
                places.tenants.remove(&self.tenant);
            }
        }
        while let Some((tenant, sender)) = places.next() {
            if sender.is_closed() {
                continue;
            }
            let place = places.hand_out(&state, &tenant);
            drop(places);
            // One who left in between lets the place fall, which brings it back here.
            drop(sender.send(place));
            return;
        }
        places.free += 1;
    }
}

fn lock(state: &Mutex<Places>) -> MutexGuard<'_, Places> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).expect("valid")
    }

    fn taken(asked: Result<Asked, TooManyWait>) -> Place {
        match asked {
            Ok(Asked::Taken(place)) => place,
            _ => panic!("no place at once"),
        }
    }

    fn waiting(asked: Result<Asked, TooManyWait>) -> oneshot::Receiver<Place> {
        match asked {
            Ok(Asked::Waiting(receiver)) => receiver,
            _ => panic!("it does not wait"),
        }
    }

    #[test]
    fn the_tenant_with_the_fewest_places_is_next() {
        let places = FairPlaces::new(2, 10);
        let (one, two) = (taken(places.ask(&tenant("many"))), taken(places.ask(&tenant("many"))));
        let mut many: Vec<_> = (0..4).map(|_| waiting(places.ask(&tenant("many")))).collect();
        let mut few = waiting(places.ask(&tenant("few")));
        drop(one);
        let place = few.try_recv().expect("it came last and is served first");
        assert!(many[0].try_recv().is_err());
        drop(place);
        drop(many.remove(0));
        let second = many[0].try_recv().expect("the first of those still there");
        drop((two, second));
        let rest: Vec<Place> = many.iter_mut().skip(1).filter_map(|one| one.try_recv().ok()).collect();
        assert_eq!((rest.len(), places.taken()), (2, 2));
        drop(rest);
        assert_eq!((places.taken(), places.waiting()), (0, 0));
        assert!(lock(&places.state).tenants.is_empty());
    }

    #[test]
    fn one_tenant_cannot_fill_the_waiting_room() {
        let places = FairPlaces::new(1, 8);
        let _held = taken(places.ask(&tenant("many")));
        let queue: Vec<_> = (0..8).filter_map(|_| places.ask(&tenant("many")).ok()).collect();
        assert!((4..=5).contains(&queue.len()), "{}", queue.len());
        assert!(places.ask(&tenant("few")).is_ok());
        drop(queue);
        assert_eq!(places.waiting(), 0, "whoever left is not counted");
    }
}
