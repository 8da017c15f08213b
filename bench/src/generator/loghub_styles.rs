//! Sixteen styles of lines, named after the systems that write so: the layout of the head of a line, and
//! phrases in that system's manner. The phrases are this project's own; how many statements a style settles
//! follows the numbers of templates that the Loghub paper (ISSRE 2023, table 1) gives for samples of 2,000 lines.

use std::fmt::Write as _;

use fastrand::Rng;

use super::Place;

/// How the lines of one system look.
pub(super) struct Style {
    /// Value of the label `job`.
    pub(super) job: &'static str,
    /// Share of lines, relative to the others.
    pub(super) weight: f64,
    /// Statements in the code of the system.
    pub(super) statements: usize,
    pub(super) head: Head,
    pub(super) phrases: &'static [&'static str],
}

/// The layout of what comes before the message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    Android,
    Apache,
    BlueGene,
    Hdfs,
    Cluster,
    Hadoop,
    Health,
    /// Syslog of a host, as Linux and SSH daemons write it.
    Syslog,
    Mac,
    OpenStack,
    Proxy,
    Spark,
    Thunderbird,
    Windows,
    Zookeeper,
}

impl Head {
    /// Writes the head of a line. `component` is the place in the code that speaks, `level` below 10 says how bad
    /// it is: most are below 8.
    pub(super) fn write(self, place: Place, component: &str, level: u8, rng: &mut Rng, out: &mut String) {
        let time = place.time_of_day();
        let (milli, micro) = (place.millisecond(), place.microsecond());
        let second = place.timestamp_ns / 1_000_000_000;
        let word = match level {
            0..8 => "INFO",
            8 => "WARN",
            _ => "ERROR",
        };
        let written = match self {
            Self::Android => {
                let letter = ['D', 'D', 'D', 'V', 'V', 'I', 'I', 'I', 'W', 'E'][usize::from(level.min(9))];
                let process = 1_700 + rng.u16(0..40) * 37;
                write!(
                    out,
                    "11-01 {time}.{milli:03} {process:5} {:5} {letter} {component}: ",
                    process + rng.u16(0..60)
                )
            }
            Self::Apache => {
                write!(out, "[Sun Nov 01 {time} 2026] [{}] ", if level < 8 { "notice" } else { "error" })
            }
            Self::BlueGene => {
                let node = format!(
                    "R{:02}-M{}-N{:x}-C:J{:02}-U{:02}",
                    rng.u8(0..64),
                    rng.u8(0..2),
                    rng.u8(0..16),
                    rng.u8(2..18),
                    rng.u8(1..12)
                );
                let dotted = time.replace(':', ".");
                let part = if rng.u8(0..5) == 0 { "APP" } else { "KERNEL" };
                let level = if level < 7 { "INFO" } else { "FATAL" };
                write!(
                    out,
                    "- {second} 2026.11.01 {node} 2026-11-01-{dotted}.{micro:06} {node} RAS {part} {level} "
                )
            }
            Self::Hdfs => write!(
                out,
                "261101 {} {} {word} dfs.{component}: ",
                time.replace(':', ""),
                rng.u16(13..4_000)
            ),
            Self::Cluster => write!(
                out,
                "{} node-{} unix.hw state.{} {second} 1 ",
                rng.u32(2_000..2_800_000),
                rng.u16(0..256),
                component.to_lowercase()
            ),
            Self::Hadoop => write!(
                out,
                "2026-11-01 {time},{milli:03} {word} [{}] org.apache.hadoop.mapreduce.v2.app.{component}: ",
                [
                    "main",
                    "IPC Server handler 3 on 45454",
                    "RMCommunicator Allocator",
                    "AsyncDispatcher event handler"
                ][rng.usize(0..4)]
            ),
            Self::Health => write!(out, "20261101-{time}:{milli}|{component}|30002312|"),
            Self::Syslog => {
                write!(out, "Nov  1 {time} combo {}[{}]: ", component.to_lowercase(), rng.u16(900..32_000))
            }
            Self::Mac => write!(
                out,
                "Nov  1 {time} visitor-10-105-{}-{} com.apple.{component}[{}]: ",
                rng.u8(160..164),
                rng.u8(1..255),
                rng.u16(40..9_000)
            ),
            Self::OpenStack => {
                let mut id = String::new();
                Self::request_id(rng, &mut id);
                write!(
                    out,
                    "nova-api.log.1.2026-11-01_00:00:08 2026-11-01 {time}.{milli:03} {} {word} nova.{component} \
                     [req-{id} 113d3a99c3da401fbd62cc2caa5b96d2 54fadb412c4e40cdbaed9335e4c35a9e - - -] ",
                    25_740 + u32::from(rng.u8(0..8)),
                )
            }
            Self::Proxy => write!(out, "[11.01 {time}] "),
            Self::Spark => write!(out, "26/11/01 {time} {word} {component}: "),
            Self::Thunderbird => {
                let node = rng.u16(1..1_020);
                write!(
                    out,
                    "- {second} 2026.11.01 dn{node} Nov 1 {time} dn{node}/dn{node} {}[{}]: ",
                    component.to_lowercase(),
                    rng.u16(300..32_000)
                )
            }
            Self::Windows => write!(
                out,
                "2026-11-01 {time}, {:<21} {:<6} ",
                if level < 9 { "Info" } else { "Error" },
                if rng.u8(0..4) == 0 { "CSI" } else { "CBS" }
            ),
            Self::Zookeeper => write!(
                out,
                "2026-11-01 {time},{milli:03} - {word:<5} [{component}:{}@{}] - ",
                [
                    "QuorumPeer[myid=1]/0.0.0.0:2181",
                    "SendWorker:188978561024",
                    "NIOServerCxn.Factory:0.0.0.0/0.0.0.0:2181"
                ][rng.usize(0..3)],
                rng.u16(100..1_400)
            ),
        };
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }

    fn request_id(rng: &mut Rng, out: &mut String) {
        let id = format!("{:032x}", rng.u128(..));
        let _ = write!(out, "{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]);
    }
}

/// All of them.
pub(super) const STYLES: [Style; 16] = [
    Style {
        job: "android",
        weight: 6.0,
        statements: 166,
        head: Head::Android,
        phrases: &[
            "<v> <o> lock={l}, flags=0x{s}, tag=\"<q> <o>\", name=com.example.<o>, uid={n}, pid={n}",
            "ready={s},policy=<N>,wakefulness={s},mode=<q>,adj=0.{s}userId={s}",
            "<v> <o> Token{{x} ActivityRecord{{x} u0 com.example.<o>/.<C> t{n}}}, drawn= false, moving =  true",
            "<C>: <o> <v> at {n}, <q>={s}",
            "set<C> {n} {n} <q> because <o> {s} was <v>",
            "onReceive <q> <o>: action android.intent.<o>.<N>",
            "visible is system.time.<o> {n}",
            "<o> <v> in {n} ms, skipped {s} frames",
        ],
    },
    Style {
        job: "apache",
        weight: 4.0,
        statements: 12,
        head: Head::Apache,
        phrases: &[
            "worker <N> <v> <o> {n} in slot {s}",
            "[client {addr}] <o> does not exist: /var/www/html/<o>/<N>",
            "environment of <C> is ok, settings in /etc/httpd/conf/<o>.<N>",
            "child <C> in state {s}",
            "[client {addr}] directory index forbidden by rule: /var/www/<o>/",
        ],
    },
    Style {
        job: "bgl",
        weight: 10.0,
        statements: 120,
        head: Head::BlueGene,
        phrases: &[
            "<o> cache parity error corrected",
            "generating core.{n}",
            "{n} <q> alignment exceptions",
            "CE sym {s}, at {p}, mask 0x{s}",
            "ciod: error reading <o> prefix on control stream, <o> {addr}:{n}",
            "<q> <o> <v> at {p}",
            "total of {s} <o> errors were <v>",
            "machine check <N>: <o> {x} <q> <v>",
            "r{s}: 0x{x} r{s}: 0x{x} r{s}: 0x{x} r{s}: 0x{x}",
        ],
    },
    Style {
        job: "hdfs",
        weight: 20.0,
        statements: 14,
        head: Head::Hdfs,
        phrases: &[
            "PacketResponder {s} for block {blk} <v>",
            "BLOCK* <C>.add: map updated: {ip}:50010 is added to {blk} size {n}",
            "receiving block {blk} src: /{ip}:{n} dest: /{ip}:50010",
            "received block {blk} of size {n} from /{ip}",
            "<v> {blk} file /mnt/hadoop/dfs/data/current/{blk}",
            "BLOCK* <C>.allocate: /user/root/_task_{l}_{n}/part-{n}. {blk}",
            "{ip}:50010 served block {blk} to /{ip}",
            "verification of {blk} <v>",
        ],
    },
    Style {
        job: "hpc",
        weight: 2.0,
        statements: 46,
        head: Head::Cluster,
        phrases: &[
            "<o> <v>: component \\042<o>{s}\\042 is in the <q> state (HWID={n})",
            "fan speeds ( {n} {n} {n} **** {n} {n} )",
            "ambient={s}",
            "<q> <o> on network 10.<N>.0.0 via interface ee{s} <v>",
            "boot  (command {n})",
            "<o> <N> <v>  (command {n})",
        ],
    },
    Style {
        job: "hadoop",
        weight: 8.0,
        statements: 114,
        head: Head::Hadoop,
        phrases: &[
            "<v> <o> for application appattempt_{l}_{n}_{n}",
            "task_{l}_{n}_m_{n} moved from NEW to <N>",
            "progress of attempt attempt_{l}_{n}_m_{n}_{s} is : 0.{n}",
            "assigned container container_{l}_{n}_{s}_{n} to attempt_{l}_{n}_m_{n}_{s}",
            "before <v>: pending:{s} <q>:{s} assigned:{s} completed:{s} at {ip}",
            "<C> <v> <q> <o>s: {n}",
            "retrying to reach server: node-{s}/{ip}:{n}, tried {s} times; policy is <C>(max={s}, sleep={n} ms)",
            "Address change detected, old: node-{s}/{ip}:{n} new: node-{s}:{n}",
            "default file system [hdfs://node-{s}:{n}], <q> <o> <v>",
        ],
    },
    Style {
        job: "healthapp",
        weight: 3.0,
        statements: 75,
        head: Head::Health,
        phrases: &[
            "on<C> {n}",
            "onExtend:{l} {s} {s} {s}",
            "REPORT : {n} {n} {n} {n}",
            "set<C>={l}##{n}##{n}##{n}##{n}##{n}",
            "calculate<C> total={n}",
            "<v> <q> <o> action:android.intent.action.<N>",
            "flush <o> data, code = {s}, message = <q> <o> <v>",
        ],
    },
    Style {
        job: "linux",
        weight: 5.0,
        statements: 118,
        head: Head::Syslog,
        phrases: &[
            "authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost={addr}  user={user}",
            "check pass; user unknown",
            "connection from {addr} () at Sun Nov  1 2026",
            "session opened for user {user} by (uid={s})",
            "<o> <N>: <q> <o> <v> at {p}",
            "<q> <o> hash table entries: {n} (order: {s}, {n} bytes)",
            "<C>: <o> <N> <v>, irq {s}",
            "<o> exited abnormally with [{s}]",
        ],
    },
    Style {
        job: "mac",
        weight: 3.0,
        statements: 341,
        head: Head::Mac,
        phrases: &[
            "<C>::<v> - packet for route = {p} port = {s} unplug = {s}",
            "<q> <o> state: {s} <o> state: {s}",
            "com.example.<o>.<N>: told to run this <o>; however, the start is {n} seconds away.  Ignoring.",
            "<C><0>({p}): <o> {n}.{n}: <v>, type: <q> <o>, 'remaining': {s}",
            "[{n}:{n}] <C>SetObject signalled err=-{n} (<q> <o>) at /System/Library/<o>/<N>.m line {n}",
            "unrecognized <o> value: t:<C>",
            "<o> {uuid} <v> by <C>, <q>",
            "Wi-Fi <o> <N> will stay <q>, reason {s}",
        ],
    },
    Style {
        job: "openssh",
        weight: 6.0,
        statements: 27,
        head: Head::Syslog,
        phrases: &[
            "Failed password for invalid user {user} from {addr} port {n} ssh2",
            "Failed password for root from {addr} port {n} ssh2",
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={addr}",
            "Connection closed by {addr} [preauth]",
            "Received disconnect from {addr}: 11: Bye Bye [preauth]",
            "reverse mapping for <o>-<N>.example [{addr}] failed - POSSIBLE BREAK-IN ATTEMPT!",
            "Accepted password for {user} from {addr} port {n} ssh2",
            "error: <q> <o>: <v> by {addr}",
        ],
    },
    Style {
        job: "openstack",
        weight: 8.0,
        statements: 43,
        head: Head::OpenStack,
        phrases: &[
            "{ip} \"GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers/detail HTTP/1.1\" status: 200 len: {n} time: 0.{l}",
            "{ip} \"POST /v2/54fadb412c4e40cdbaed9335e4c35a9e/os-server-<o>s HTTP/1.1\" status: 202 len: {n} time: 0.{l}",
            "[instance: {uuid}] VM <v> (lifecycle <o>)",
            "[instance: {uuid}] took {s}.{s} seconds to <o> the instance on the hypervisor.",
            "image {uuid} at (/var/lib/nova/instances/_base/{x}{x}{x}{x}{x}): checking",
            "[instance: {uuid}] <q> <o> {s}, <v>: {s} GB",
            "<C> {ip},{ip} <v> <q> <o> in {n} ms",
        ],
    },
    Style {
        job: "proxifier",
        weight: 3.0,
        statements: 24,
        head: Head::Proxy,
        phrases: &[
            "<o>.exe - proxy.example.edu:5070 open through proxy proxy.example.edu:5070 HTTPS",
            "<o>.exe *64 - <o>-<N>.example.com:443 open through proxy proxy.example.edu:5070 HTTPS",
            "<o>.exe - <q>.example.com:443 close, {n} bytes ({s}.{s} KB) sent, {n} bytes ({s}.{s} KB) received, lifetime 0{s}:{s}",
            "<o>.exe - proxy.example.edu:5070 error : could not connect through proxy - status {n}",
        ],
    },
    Style {
        job: "spark",
        weight: 10.0,
        statements: 36,
        head: Head::Spark,
        phrases: &[
            "Running task {n}.0 in stage {s}.0 (TID {n})",
            "Finished task {n}.0 in stage {s}.0 (TID {n}). {n} bytes result sent to driver",
            "Found block rdd_{s}_{s} locally",
            "Block <o>_{s}_piece0 stored as bytes in memory (estimated size {s}.{s} KB, free {n}.{s} KB)",
            "Input split: hdfs://{ip}:9000/data/<o>/part-{n}:{l}+{n}",
            "Getting {n} non-empty <o>s out of {n} blocks",
            "<v> <q> <o> {s} of storage, executor {s} in {n} ms",
            "<o> <N> <v> as <o> {s}",
        ],
    },
    Style {
        job: "thunderbird",
        weight: 6.0,
        statements: 149,
        head: Head::Thunderbird,
        phrases: &[
            "session opened for user root by (uid={s})",
            "(root) CMD (run-parts /etc/cron.<o>)",
            "data thread: <o> of cluster <N> not found in {s} s",
            "<q> <o> <N>: <v>, status {s}",
            "DHCPDISCOVER from 00:{s}:{s}:{s}:{s}:{s} via eth1: network <N>: no free <o>s",
            "[KERNEL_IB][<C>]({n}) <q> <o> port {s}, retry {s}",
            "synchronized to {ip}, stratum {s}",
            "<o> <N>: <q> <o> {p} <v> by process {n}",
        ],
    },
    Style {
        job: "windows",
        weight: 4.0,
        statements: 50,
        head: Head::Windows,
        phrases: &[
            "Session: {l}_{l} initialized by client <C>.",
            "Read out <q> applicability for package: Package_for_KB{n}~31bf3856ad364e35~amd64~~6.1.1.{s}, state: {s}, current:{s}",
            "Warning: unrecognized <q> attribute of <o> <N>.",
            "{x}@2026/11/1:{s}:{s} <C> (module <o>.dll version 0.0.0.{s}) called (stack @{p} @{p} @{p} @{p})",
            "Expecting <o> name [HRESULT = 0x{x} - <q> <o> <v>]",
            "SQM: <v> <o> {s}, level <q>",
        ],
    },
    Style {
        job: "zookeeper",
        weight: 2.0,
        statements: 50,
        head: Head::Zookeeper,
        phrases: &[
            "Notification time out: {n}",
            "Received connection request /{ip}:{n}",
            "<q> <o> thread is leaving",
            "Closed socket connection for client /{ip}:{n} which had sessionid 0x{x}{x}",
            "Established session 0x{x}{x} with negotiated timeout {n} for client /{ip}:{n}",
            "<o> {s} <v>, epoch 0x{s}, zxid 0x{x}",
            "Connection broken for id {l}, my id = {s}, error = <q> <o>",
            "<C> <v> <o> to {s}, <q>",
        ],
    },
];
