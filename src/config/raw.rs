//! Every setting with its default, as it is written in TOML.
//!
//! The defaults are this type's `Default`; the known keys are found by writing that out, so a
//! setting is declared once, here. Limits keep the names they have in `config.pl`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty = $default:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty),+ }
        impl $name {
            /// The names of its settings.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field)),+];
        }
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }
    };
}

section! {
    /// The whole of `config.toml`.
    Raw {
        /// Where people reach the service, as `https://desktops.example.org`; empty: by the host's name.
        public_url: String = String::new(),
        /// Who may have how much.
        limits: Limits = Limits::default(),
        /// What a session gets.
        session: Session = Session::default(),
        /// How QEMU is run.
        qemu: Qemu = Qemu::default(),
        /// What a guest may reach.
        network: Network = Network::default(),
        /// Where things lie.
        paths: Paths = Paths::default(),
        /// How machines are fetched.
        download: Download = Download::default(),
        /// What the pages show and offer.
        page: Page = Page::default(),
        /// How people sign in; with no method, the service is open to clients on this machine only.
        sign_in: SignIn = SignIn::default(),
        /// How mails are sent.
        mail: Mail = Mail::default(),
        /// What the monitor shows, and to whom.
        monitor: Monitor = Monitor::default(),
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Sessions at the same time, of everybody together.
        service_max_session_nb: u32 = 10,
        /// Sessions at the same time, of one person.
        service_max_session_nb_per_user: u32 = 3,
        /// Share of the host's CPUs that one person's sessions may have together, 0 to 1.
        service_max_cpu_fraction_nb_per_user: f64 = 0.3,
        /// Share of the host's memory that one person's sessions may have together, 0 to 1.
        service_max_mem_fraction_nb_per_user: f64 = 0.3,
        /// Load of the host above which nothing new starts; 1 is all CPUs busy.
        service_max_load: f64 = 0.8,
        /// Virtual CPUs given out together, as a multiple of the host's CPUs.
        cpu_overcommit: f64 = 4.0,
        /// For single people, by name.
        user: BTreeMap<String, Allowance> = BTreeMap::default(),
        /// For the members of groups, by the group's name.
        group: BTreeMap<String, Allowance> = BTreeMap::default(),
    }
}

section! {
    /// `[limits.user.NAME]` and `[limits.group.NAME]`: what is not set here is as elsewhere.
    Allowance {
        /// Sessions at the same time.
        sessions: Option<u32> = None,
        /// CPUs of all sessions together.
        cpus: Option<u32> = None,
        /// Memory of all sessions together.
        memory: Option<String> = None,
        /// The longest a session can be made to live, extensions included; "0": without end.
        lifetime: Option<String> = None,
        /// The only machines that may be used.
        machines: Option<Vec<String>> = None,
    }
}

section! {
    /// `[session]`
    Session {
        /// CPUs where nothing else is asked for.
        cpus: u32 = 1,
        /// Memory where nothing else is asked for.
        memory: String = "1G".into(),
        /// The least memory a session can have.
        memory_min: String = "128M".into(),
        /// Lifetime where nothing else is asked for.
        lifetime: String = "1d".into(),
        /// The longest a session can be made to live, extensions included; "0": without end.
        snapshot_lifetime: String = "4d".into(),
        /// How long before its end the pages warn; "0": never.
        warn: String = "15m".into(),
        /// How long a guest may take to shut down before it is cut off.
        stop_grace: String = "30s".into(),
        /// Size of the empty disk beside a machine that is an ISO image.
        snapshot_alloc_disk: String = "10G".into(),
        /// The most that one session may write beyond its machine's image; "0": no bound.
        disk_max: String = "20G".into(),
    }
}

section! {
    /// `[qemu]`
    Qemu {
        /// "auto", "kvm" or "tcg".
        accel: String = "auto".into(),
        /// The emulator.
        qemu_exec: String = "qemu-system-x86_64".into(),
        /// The graphics card: "std", "virtio", "qxl" or "vmware".
        qemu_video: String = "std".into(),
        /// Size of TCG's buffer of translated code, in MiB.
        tb_size: u32 = 128,
        /// Memory of QEMU itself on top of the guest's, in MiB.
        overhead: u32 = 256,
        /// CPU time a session may use, in percent of one CPU for each virtual CPU.
        cpu_quota: u32 = 100,
    }
}

section! {
    /// `[network]`
    Network {
        /// "user" (a way out, none to this server nor to what is local), "none" or "bridge".
        mode: String = "user".into(),
        /// User mode: networks and addresses that are open although they are local, as "192.0.2.0/24".
        allow: Vec<String> = Vec::new(),
        /// User mode: the guests' name server, an IPv4 address; empty: this server's own.
        dns: String = String::new(),
        /// The bridge of machines that are on one, such as "br0".
        bridge: String = String::new(),
        /// Keeps sessions on a bridge from each other.
        bridge_isolated: bool = true,
    }
}

section! {
    /// `[paths]`
    Paths {
        /// The machines' images.
        dir_machines: String = "/var/lib/qemu-web-desktop/machines".into(),
        /// Sessions' disks; empty: the private /var/tmp of each session's unit.
        dir_snapshots: String = String::new(),
        /// The most that all sessions may write together, as a share of the file system or an amount.
        disk_total_max: String = "80%".into(),
        /// Free space below which no session starts.
        disk_start_reserve: String = "10%".into(),
        /// Free space below which the sessions that write are paused until there is room again.
        disk_pause_reserve: String = "5%".into(),
    }
}

section! {
    /// `[download]`
    Download {
        /// A proxy for downloads, before http_proxy and https_proxy of the environment.
        service_proxy: String = String::new(),
        /// Seconds without a byte after which a download is given up.
        timeout: u32 = 60,
        /// Downloads at the same time.
        parallel: u32 = 3,
        /// The largest download, and the largest image that one is unpacked to.
        size_max: String = "256G".into(),
    }
}

section! {
    /// `[page]`
    Page {
        /// Name of the service.
        title: String = "Virtual desktops".into(),
        /// A sentence or two on the first page.
        welcome: String = "Pick a machine and work on its desktop, here in your browser.".into(),
        /// What must be agreed to; plain text, an empty line begins a paragraph.
        terms: String = "Use these machines for the work you are entitled to do here. A machine and everything on its disk is removed for good when its session ends: save your work elsewhere first. The administrators may end sessions when the service needs it.".into(),
        /// An image of the site, as a path or URL of the same server.
        logo: String = String::new(),
        /// A style sheet of the site, loaded after ours.
        stylesheet: String = String::new(),
        /// CPUs on offer.
        cpus: Vec<u32> = vec![1, 2, 4],
        /// Memory on offer.
        memory: Vec<String> = ["1G", "2G", "4G"].map(String::from).into(),
        /// Lifetimes on offer.
        lifetime: Vec<String> = ["12h", "1d", "2d", "3d"].map(String::from).into(),
        /// The machine that is picked to begin with; empty: the first.
        machine: String = String::new(),
    }
}

section! {
    /// `[sign_in]`
    SignIn {
        /// Tried in this order until one succeeds: "imap", "smtp", "ldap", "email", "pam", "command", "remote_user".
        methods: Vec<String> = Vec::new(),
        /// Names of the administrators, compared whole. People's names are in lower case, but those that "pam" checks.
        admins: Vec<String> = Vec::new(),
        /// Groups whose members are administrators: of LDAP, of this host where PAM signs in, or of Apache.
        admin_groups: Vec<String> = Vec::new(),
        /// Takes alice+desk@example.org for alice@example.org where people type it, before a server is asked or a mail is sent.
        fold_sub_addresses: bool = true,
        /// Checked by signing in to a mail server's mailbox.
        imap: Server = Server::default(),
        /// Checked by signing in to a mail server's submission port.
        smtp: Server = Server::default(),
        /// Checked by binding to a directory.
        ldap: Ldap = Ldap::default(),
        /// Checked by a link sent to an address.
        email: Email = Email::default(),
        /// Checked as this host's own accounts are.
        pam: Pam = Pam::default(),
        /// Checked by a program of the administrator's.
        command: Command = Command::default(),
        /// Checked by Apache already.
        remote_user: RemoteUser = RemoteUser::default(),
    }
}

section! {
    /// `[sign_in.imap]` and `[sign_in.smtp]`
    Server {
        /// Its host name, as in its certificate.
        server: String = String::new(),
        /// Its port; 0: the usual one for the encryption.
        port: u16 = 0,
        /// "tls", "starttls" or, to this machine itself only, "plain".
        encryption: String = "tls".into(),
        /// Certificate authorities to trust, or the server's own certificate, as a PEM file; empty: the system's.
        ca_file: String = String::new(),
        /// How long it is waited for.
        timeout: String = "10s".into(),
    }
}

section! {
    /// `[sign_in.ldap]`
    Ldap {
        /// Its host name, as in its certificate.
        server: String = String::new(),
        /// Its port; 0: the usual one for the encryption.
        port: u16 = 0,
        /// "tls", "starttls" or, to this machine itself only, "plain".
        encryption: String = "tls".into(),
        /// Certificate authorities to trust, or the server's own certificate, as a PEM file; empty: the system's.
        ca_file: String = String::new(),
        /// How long it is waited for.
        timeout: String = "10s".into(),
        /// Name to bind as, {user} standing for the user's name; empty: search for the user first.
        bind_dn: String = String::new(),
        /// Where users are searched, as "ou=people,dc=example,dc=org".
        search_base: String = String::new(),
        /// Which entry is the user's; {user} stands for the name.
        search_filter: String = "(uid={user})".into(),
        /// Name to search as; empty: anonymously.
        search_dn: String = String::new(),
        /// File with its password, readable by root only.
        search_password_file: String = String::new(),
        /// Attribute that has the name to go by, taken in lower case; empty: the name as typed, in lower case.
        name_attribute: String = String::new(),
        /// A filter that the user's own entry must match, such as "(memberOf=cn=desktop,ou=groups,dc=example,dc=org)".
        require: String = String::new(),
        /// Where the user's groups are searched; empty: nowhere.
        group_base: String = String::new(),
        /// Which entries are the user's groups; {user} stands for the name, {dn} for the user's entry.
        group_filter: String = "(|(memberUid={user})(member={dn})(uniqueMember={dn}))".into(),
        /// Attribute that has a group's name.
        group_attribute: String = "cn".into(),
    }
}

section! {
    /// `[sign_in.email]`
    Email {
        /// Domains whose addresses are let in, as "example.org"; empty: none. Links begin with public_url.
        allowed_domains: Vec<String> = Vec::new(),
        /// How long a link is good for.
        lifetime: String = "30m".into(),
        /// Links sent to one address within an hour.
        per_address: u32 = 3,
        /// Links asked for by one client within an hour.
        per_client: u32 = 10,
    }
}

section! {
    /// `[sign_in.pam]`
    Pam {
        /// Name of the file in /etc/pam.d.
        service: String = "qemu-web-desktop".into(),
        /// How long it is waited for.
        timeout: String = "20s".into(),
    }
}

section! {
    /// `[sign_in.command]`
    Command {
        /// The program, as an absolute path.
        program: String = String::new(),
        /// Takes ALICE for alice, before the program is asked.
        fold_case: bool = true,
        /// How long it is waited for.
        timeout: String = "10s".into(),
    }
}

section! {
    /// `[sign_in.remote_user]`
    RemoteUser {
        /// Takes ALICE for alice; false only where Apache has several people whose names differ in that.
        fold_case: bool = true,
        /// Where "Sign out" leads, such as the address by which mod_auth_openidc signs out; empty: there is none.
        sign_out_url: String = String::new(),
    }
}

section! {
    /// `[mail]`
    Mail {
        /// The mail server's host name; empty: no mail is sent.
        server: String = String::new(),
        /// Its port; 0: the usual one for the encryption.
        port: u16 = 0,
        /// "tls", "starttls" or, to this machine itself only, "plain".
        encryption: String = "starttls".into(),
        /// Certificate authorities to trust, or the server's own certificate, as a PEM file; empty: the system's.
        ca_file: String = String::new(),
        /// How long it is waited for.
        timeout: String = "10s".into(),
        /// Name to sign in with at the mail server; empty: without.
        user: String = String::new(),
        /// File with its password, readable by root only.
        password_file: String = String::new(),
        /// The sender's address.
        from: String = String::new(),
        /// Domain of the address of a user whose name has none; empty: those get no mail.
        domain: String = String::new(),
        /// How long before a session's end its owner gets a mail; "0": never.
        warn_before_end: String = "0".into(),
    }
}

section! {
    /// `[monitor]`
    Monitor {
        /// Small pictures of all screens for administrators; owners are told on their session's page.
        pictures: bool = false,
        /// Clients that may read the metrics, beside this machine, as "192.0.2.7" or "192.0.2.0/24".
        metrics_clients: Vec<String> = Vec::new(),
    }
}

macro_rules! has_server {
    ($($section:ty),+) => {
        $(impl $section {
            /// The part of it that every server has.
            pub fn as_server(&self) -> Server {
                Server {
                    server: self.server.clone(),
                    port: self.port,
                    encryption: self.encryption.clone(),
                    ca_file: self.ca_file.clone(),
                    timeout: self.timeout.clone(),
                }
            }
        })+
    };
}
has_server!(Ldap, Mail);
