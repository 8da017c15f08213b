//! What the made-up services say: 4 services, 24 messages each, by level.
//!
//! In a message, `{n}` becomes a small number, `{ms}` a duration, `{id}` a hexadecimal id, `{user}` a user, `{ip}` an address.

/// A service and what it says.
pub(super) struct Service {
    /// Its name.
    pub(super) name: &'static str,
    /// At DEBUG.
    pub(super) debug: [&'static str; 5],
    /// At INFO.
    pub(super) info: [&'static str; 9],
    /// At WARN.
    pub(super) warn: [&'static str; 5],
    /// At ERROR.
    pub(super) error: [&'static str; 5],
}

/// The services.
pub(super) const SERVICES: [Service; 4] = [
    Service {
        name: "sawmill",
        debug: [
            "blade {n} at {ms} ms per cut",
            "log scanner reports {n} knots on trunk {id}",
            "feed table waits for trunk {id}",
            "sensor {n} read in {ms} ms",
            "cut plan {id} has {n} boards",
        ],
        info: [
            "trunk {id} accepted on line {n}",
            "cut plan {id} finished in {ms} ms",
            "shift of {user} started on line {n}",
            "board batch {id} stacked, {n} boards",
            "blade {n} changed by {user}",
            "line {n} resumed after {ms} ms",
            "kiln {n} loaded with batch {id}",
            "saw dust bin {n} emptied",
            "quality grade A for batch {id}",
        ],
        warn: [
            "blade {n} is dull, cuts take {ms} ms",
            "trunk {id} is longer than the table of line {n}",
            "kiln {n} is 4 degrees over its plan",
            "belt {n} slipped, restarted by {user}",
            "metal suspected in trunk {id}",
        ],
        error: [
            "line {n} stopped: emergency button pressed by {user}",
            "cut plan {id} failed after {ms} ms: no measurements",
            "blade {n} broke in trunk {id}",
            "kiln {n} does not answer",
            "belt {n} jammed with batch {id}",
        ],
    },
    Service {
        name: "orders",
        debug: [
            "price list {id} loaded in {ms} ms",
            "cart {id} has {n} items",
            "cache hit for customer {user}",
            "address of {user} normalised in {ms} ms",
            "discount rule {n} does not apply to cart {id}",
        ],
        info: [
            "order {id} placed by {user}, {n} items",
            "order {id} paid in {ms} ms",
            "invoice {id} sent to {user}",
            "customer {user} signed in from {ip}",
            "customer {user} signed out",
            "order {id} handed to dispatch",
            "coupon {n} redeemed in order {id}",
            "stock of item {n} reserved for order {id}",
            "return of order {id} registered by {user}",
        ],
        warn: [
            "payment of order {id} took {ms} ms",
            "stock of item {n} is low",
            "customer {user} entered a wrong password from {ip}",
            "order {id} has no delivery date",
            "price list {id} is {n} days old",
        ],
        error: [
            "payment of order {id} was declined",
            "order {id} could not be saved: deadlock after {ms} ms",
            "stock of item {n} is negative",
            "invoice {id} could not be rendered",
            "request of {user} from {ip} failed after {ms} ms",
        ],
    },
    Service {
        name: "dispatch",
        debug: [
            "route {id} computed in {ms} ms",
            "truck {n} sent its position",
            "queue of dock {n} checked",
            "map tile {id} served in {ms} ms",
            "driver {user} is {n} km away",
        ],
        info: [
            "truck {n} left with order {id}",
            "truck {n} arrived at dock {n}",
            "order {id} delivered, signed by {user}",
            "driver {user} started a tour of {n} stops",
            "route {id} changed, {ms} ms to recompute",
            "dock {n} opened",
            "pallet {id} loaded on truck {n}",
            "driver {user} ended the tour",
            "label of pallet {id} printed",
        ],
        warn: [
            "truck {n} is late by {n} minutes",
            "route {id} has traffic, {n} minutes more",
            "dock {n} is full",
            "driver {user} has not answered for {n} minutes",
            "gateway {ip} answers in {ms} ms",
        ],
        error: [
            "order {id} could not be delivered: nobody there",
            "truck {n} broke down",
            "route {id} could not be computed in {ms} ms",
            "gateway {ip} is unreachable",
            "pallet {id} is missing at dock {n}",
        ],
    },
    Service {
        name: "gateway",
        debug: [
            "connection from {ip} kept alive",
            "upstream {n} chosen for request {id}",
            "request {id} matched route {n}",
            "certificate {n} checked in {ms} ms",
            "body of request {id} has {n} KiB",
        ],
        info: [
            "GET /orders/{id} 200 {ms} ms {ip}",
            "POST /orders 201 {ms} ms {ip}",
            "GET /trunks?page={n} 200 {ms} ms {ip}",
            "PUT /routes/{id} 204 {ms} ms {ip}",
            "GET /health 200 {ms} ms {ip}",
            "token of {user} renewed",
            "upstream {n} is healthy again",
            "configuration {id} loaded, {n} routes",
            "client {user} connected from {ip}",
        ],
        warn: [
            "GET /orders/{id} 404 {ms} ms {ip}",
            "POST /orders 429 {ms} ms {ip}",
            "upstream {n} answered in {ms} ms",
            "certificate {n} expires in {n} days",
            "token of {user} is about to expire",
        ],
        error: [
            "GET /orders/{id} 502 {ms} ms {ip}",
            "POST /orders 500 {ms} ms {ip}",
            "upstream {n} timed out after {ms} ms",
            "request {id} from {ip} has a malformed header",
            "upstream {n} closed the connection of request {id}",
        ],
    },
];
