"""A real mail server in the bed, which speaks after STARTTLS only; local accounts have a Maildir."""

import email
import email.policy

FOLDER = "/etc/postfix-desk"
PORT = 2525
CA = "/etc/ssl/desk-ca.pem"

# For [mail] of the configuration.
SETTINGS = f"""\
[mail]
server = "localhost"
port = {PORT}
from = "desks@desk.example"
ca_file = "{CA}"
timeout = "20s"
"""


def start(bed):
    bed.run(f"""set -e
        mkdir -p {FOLDER} /var/spool/postfix-desk /var/lib/postfix-desk && chown postfix /var/lib/postfix-desk
        cd {FOLDER} && sed 's/^smtp  *inet/127.0.0.1:{PORT} inet/' /etc/postfix/master.cf |
            awk '/^[a-z0-9]/ {{ $5 = "n" }} 1' >master.cf
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out {CA} -days 2 -subj /CN=desk-ca 2>/dev/null
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost 2>/dev/null
        echo subjectAltName=DNS:localhost >names
        openssl x509 -req -in server.csr -CA {CA} -CAkey ca.key -out server.pem -days 2 -extfile names 2>/dev/null
    """)
    settings = {"compatibility_level": "3.6", "queue_directory": "/var/spool/postfix-desk",
                "data_directory": "/var/lib/postfix-desk", "mydestination": "localhost", "myhostname": "desk.example",
                "home_mailbox": "Maildir/", "alias_maps": "", "maillog_file": "/var/log/postfix-desk.log",
                "smtpd_tls_security_level": "encrypt", "smtpd_tls_cert_file": f"{FOLDER}/server.pem",
                "smtpd_tls_key_file": f"{FOLDER}/server.key"}
    bed.write(f"{FOLDER}/main.cf", "".join(f"{key} = {value}\n" for key, value in settings.items()))
    bed.run("systemd-run", "--unit=desk-mail", "--service-type=forking", f"--property=ExecStop=postfix -c {FOLDER} stop",
            "postfix", "-c", FOLDER, "start")
    bed.wait(f"socat -u /dev/null TCP:127.0.0.1:{PORT}")


def stop(bed):
    bed.run(f"systemctl stop desk-mail; rm -rf {FOLDER} /var/spool/postfix-desk /var/lib/postfix-desk", check=False)


def mailbox(bed, account, count):
    """An account's mails, once there are so many."""
    bed.wait(f"[ $(ls /home/{account}/Maildir/new 2>/dev/null | wc -l) -ge {count} ]")
    names = bed.run(f"ls -tr /home/{account}/Maildir/new/*").stdout.split()
    texts = [bed.run("cat", name).stdout for name in names]
    return [email.message_from_string(text, policy=email.policy.default) for text in texts]
