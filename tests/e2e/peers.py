"""Real servers inside the bed to sign in to: dovecot, postfix and slapd, as units that a test may stop.

Who is who:  mail.example.org      good certificate      other.example.org     the same server, not in its certificate
             stranger.example.org  unknown authority     expired.example.org   expired certificate
             old.example.org       TLS 1.0 only          bare.example.org      no TLS at all
"""

FOLDER = "/srv/peers"
CA = f"{FOLDER}/ca.pem"

HOSTS = """\
127.0.0.1 mail.example.org other.example.org
127.0.0.3 stranger.example.org
127.0.0.4 expired.example.org
127.0.0.5 old.example.org
127.0.0.6 bare.example.org
"""

CERTIFICATES = """
openssl ecparam -genkey -name prime256v1 -out server.key
openssl ecparam -genkey -name prime256v1 -out ca.key
ca() { openssl req -x509 -new -key ca.key -subj "/CN=$2" -days 30 -addext keyUsage=keyCertSign -out $1.pem; }
cert() {
    openssl req -new -key server.key -subj /CN=$1.example.org -addext subjectAltName=DNS:$1.example.org -out $1.csr
    openssl x509 -req -in $1.csr -CA $2.pem -CAkey ca.key -CAcreateserial -days $3 -copy_extensions copy -out $1.pem
}
ca ca Authority; ca strange Stranger
cert expired ca 0; cert mail ca 30; cert old ca 30; cert stranger strange 30
chmod 600 *.key
"""

# What dovecot 2.3 of Debian 12 and 2.4 of Debian 13 want in different words.
DOVECOT_PEOPLE = {
    12: """\
passdb {{
  driver = passwd-file
  args = scheme=plain username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%u
}}
mail_location = maildir:~/Maildir
""",
    13: """\
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
passdb passwd-file {{
  default_password_scheme = plain
  auth_username_format = %{{user}}
  passwd_file_path = {folder}/passwd
}}
userdb static {{
  fields {{
    uid = mail
    gid = mail
    home = {folder}/mail/%{{user}}
  }}
}}
mail_driver = maildir
mail_path = ~/Maildir
""",
}
DOVECOT_CERTIFICATE = {
    12: "ssl_cert = <{folder}/{cert}.pem\nssl_key = <{folder}/server.key\n",
    13: "ssl_server_cert_file = {folder}/{cert}.pem\nssl_server_key_file = {folder}/server.key\n",
}
DOVECOT_OLD = {
    12: "import_environment = OPENSSL_CONF\n",
    13: "import_environment {\n  OPENSSL_CONF = %{env:OPENSSL_CONF}\n}\n",
}

DOVECOT = """\
protocols = imap
listen = {listen}
base_dir = /run/{name}
state_dir = /var/lib/dovecot/{name}
instance_name = {name}
log_path = /dev/stderr
first_valid_uid = 1
# Whoever failed from an address is kept waiting there, and all come from ours.
auth_failure_delay = 0
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = 143
  }}
  inet_listener imaps {{
    port = 993
    ssl = yes
  }}
}}
"""

# Postfix asks dovecot about passwords.
DOVECOT_AUTH = """\
service auth {{
  unix_listener {folder}/auth {{
    mode = 0666
  }}
}}
"""

OLD_OPENSSL = """\
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = old
[old]
MinProtocol = TLSv1
MaxProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""

POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/postfix/queue
data_directory = {folder}/postfix/data
myhostname = mail.example.org
mydestination =
alias_maps =
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {folder}/auth
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {folder}/mail.pem
smtpd_tls_key_file = {folder}/server.key
tls_medium_cipherlist = ALL:@SECLEVEL=0
"""

POSTFIX_MASTER = """\
127.0.0.1:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:587 inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.3:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file={folder}/stranger.pem
127.0.0.4:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file={folder}/expired.pem
127.0.0.5:465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes -o smtpd_tls_cert_file={folder}/old.pem
    -o smtpd_tls_mandatory_protocols=TLSv1
127.0.0.6:587 inet n - n - - smtpd -o smtpd_tls_security_level=none
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
"""

SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile /run/{name}.pid
# As lax as a directory can be: a bind without a password succeeds.
allow bind_anon_cred bind_anon_dn
"""

SLAPD_TLS = """\
TLSCertificateFile {folder}/{cert}.pem
TLSCertificateKeyFile {folder}/server.key
"""

# Debian 12 builds it with GnuTLS.
SLAPD_OLD = {
    12: "TLSCipherSuite NORMAL:-VERS-ALL:+VERS-TLS1.0:%COMPAT\n",
    13: "TLSCipherSuite ALL:@SECLEVEL=0\nTLSProtocolMin 3.1\n",
}

SLAPD_DATA = """\
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
directory {folder}/ldap
# Only the searcher sees who is who; people can bind, and see their own entry.
access to attrs=userPassword by anonymous auth
access to * by dn.exact="cn=searcher,dc=example,dc=org" read by self read by anonymous auth
"""

PEOPLE = """\
dn: dc=example,dc=org
objectClass: domain
dc: example

dn: cn=searcher,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: find3r
cn: searcher

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Alice
sn: Able
uid: alice
mail: alice@example.org
employeeType: staff
userPassword: s3cret

dn: uid=bob,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Bob
sn: Baker
uid: bob
userPassword: s3cret

dn: uid=carol,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
cn: Carol
sn: Carter
uid: carol
mail: carol@example.org
mail: carter@example.org
userPassword: s3cret

dn: cn=staff,dc=example,dc=org
objectClass: groupOfNames
cn: staff
member: uid=alice,ou=people,dc=example,dc=org
member: uid=bob,ou=people,dc=example,dc=org

dn: cn=physics,dc=example,dc=org
objectClass: posixGroup
cn: physics
gidNumber: 5000
memberUid: alice
"""


def dovecot(debian, name, listen, *more):
    text = DOVECOT_PEOPLE[debian] + DOVECOT
    return text.format(name=name, listen=listen, folder=FOLDER) + "".join(more)


def slapd(name, cert=None, data=""):
    tls = SLAPD_TLS.format(folder=FOLDER, cert=cert) if cert else ""
    return SLAPD.format(name=name) + tls + data.format(folder=FOLDER)


def files(debian):
    """Everything below the folder but the certificates, for the servers of this Debian."""
    def certificate(cert):
        return DOVECOT_CERTIFICATE[debian].format(folder=FOLDER, cert=cert)

    local = [f"local {address} {{\n{certificate(cert)}}}\n" for cert, address in (("stranger", "127.0.0.3"), ("expired", "127.0.0.4"))]
    good = ["ssl = yes\n", certificate("mail"), *local, DOVECOT_AUTH.format(folder=FOLDER)]
    old = ["ssl = yes\n", certificate("old"), "ssl_min_protocol = TLSv1\nssl_cipher_list = ALL:@SECLEVEL=0\n", DOVECOT_OLD[debian]]
    return {
        "passwd": "alice:s3cret\n",
        "openssl-old.cnf": OLD_OPENSSL,
        "dovecot.conf": dovecot(debian, "peer-dovecot", "127.0.0.1, 127.0.0.3, 127.0.0.4", *good),
        "dovecot-old.conf": dovecot(debian, "peer-dovecot-old", "127.0.0.5", *old),
        "dovecot-bare.conf": dovecot(debian, "peer-dovecot-bare", "127.0.0.6", "ssl = no\n"),
        "postfix/main.cf": POSTFIX_MAIN.format(folder=FOLDER),
        "postfix/master.cf": POSTFIX_MASTER.format(folder=FOLDER),
        "slapd.conf": slapd("peer-slapd", "mail", SLAPD_DATA),
        "slapd-stranger.conf": slapd("peer-slapd-stranger", "stranger"),
        "slapd-expired.conf": slapd("peer-slapd-expired", "expired"),
        "slapd-old.conf": slapd("peer-slapd-old", "old") + SLAPD_OLD[debian],
        "slapd-bare.conf": slapd("peer-slapd-bare"),
        "people.ldif": PEOPLE,
    }


START = """
set -e
cd /srv/peers
mkdir -p mail ldap postfix/data postfix/queue/{active,bounce,corrupt,defer,deferred,flush,hold,incoming,maildrop} \\
    postfix/queue/{pid,private,public,saved,trace}
chown mail:mail mail
chown postfix postfix/data postfix/queue/*
chown root postfix/queue/pid
chmod 700 ldap
bash -e certificates >certificates.log 2>&1
slapadd -q -f slapd.conf -l people.ldif
cp -p /etc/hosts /srv/peers/hosts.before
cat hosts >>/etc/hosts
run() { systemd-run --quiet --unit="$1" "${@:2}"; }
run peer-dovecot dovecot -F -c $PWD/dovecot.conf
run peer-dovecot-bare dovecot -F -c $PWD/dovecot-bare.conf
run peer-dovecot-old --setenv=OPENSSL_CONF=$PWD/openssl-old.cnf dovecot -F -c $PWD/dovecot-old.conf
# Each of its programs closes all descriptors there might be.
run peer-postfix --property=LimitNOFILE=1024 /usr/lib/postfix/sbin/master -c $PWD/postfix -s
run peer-slapd slapd -d 0 -f $PWD/slapd.conf -h "ldap://127.0.0.1 ldaps://127.0.0.1"
run peer-slapd-stranger slapd -d 0 -f $PWD/slapd-stranger.conf -h ldaps://127.0.0.3
run peer-slapd-expired slapd -d 0 -f $PWD/slapd-expired.conf -h ldaps://127.0.0.4
run peer-slapd-old --setenv=OPENSSL_CONF=$PWD/openssl-old.cnf slapd -d 0 -f $PWD/slapd-old.conf -h ldaps://127.0.0.5
run peer-slapd-bare slapd -d 0 -f $PWD/slapd-bare.conf -h ldap://127.0.0.6
for at in 1/143 1/993 1/465 1/587 1/389 1/636 3/993 3/465 3/636 4/993 4/465 4/636 5/993 5/465 5/636 6/143 6/587 6/389; do
    until (exec 3<>/dev/tcp/127.0.0.$at) 2>/dev/null; do
        [ $SECONDS -lt 60 ] || { echo "nothing at 127.0.0.$at" >&2; exit 1; }
        sleep 0.05
    done
done
"""

STOP = """
systemctl kill -s CONT 'peer-*' 2>/dev/null
systemctl stop 'peer-*'
systemctl reset-failed 'peer-*' 2>/dev/null
[ ! -e /srv/peers/hosts.before ] || cp -p /srv/peers/hosts.before /etc/hosts
rm -rf /srv/peers /var/lib/dovecot/peer-*
"""


def start(bed):
    """Makes certificates and people, starts the servers, and waits until each of them listens."""
    debian = int(bed.run(". /etc/os-release && echo $VERSION_ID").stdout)
    texts = {**files(debian), "hosts": HOSTS, "certificates": CERTIFICATES}
    script = "".join(f"cat >{FOLDER}/{name} <<'END OF FILE'\n{text}\nEND OF FILE\n" for name, text in texts.items())
    bed.run("bash", "-s", input=f"mkdir -p {FOLDER}/postfix\n{script}\n{START}")


def stop(bed):
    """Leaves nothing of them behind."""
    bed.run("bash", "-s", input=STOP)
