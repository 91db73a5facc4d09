"""Downloads by way of a real proxy: Apache as a forward proxy, for http and, by CONNECT, for https."""

import pytest

PROXY = """\
Listen 127.0.0.1:3128
Listen 127.0.0.1:8081
<VirtualHost 127.0.0.1:3128>
    ProxyRequests On
    AllowCONNECT 443
    <Proxy "*">
        Require local
    </Proxy>
    CustomLog /var/log/apache2/proxy.log "%m %U %{Host}i"
</VirtualHost>
<VirtualHost 127.0.0.1:8081>
    DocumentRoot /usr/lib/grub-rescue
    <Directory /usr/lib/grub-rescue>
        Require all granted
    </Directory>
</VirtualHost>
"""
AT = "http://127.0.0.1:3128"


@pytest.fixture(scope="module")
def proxy(bed):
    """Gives a function that downloads a machine anew, and tells what the proxy saw of it."""
    name = bed.run("hostname").stdout.strip()
    bed.write("/etc/apache2/sites-available/proxy.conf", PROXY)
    bed.run("cp /usr/lib/grub-rescue/grub-rescue-cdrom.iso /var/www/html/")
    # A certificate for this name, which the machine then trusts.
    bed.run("make-ssl-cert generate-default-snakeoil --force-overwrite 2>/dev/null && "
            "cp /etc/ssl/certs/ssl-cert-snakeoil.pem /usr/local/share/ca-certificates/bed.crt && update-ca-certificates 2>/dev/null")
    bed.run("a2enmod -q proxy_connect ssl && a2ensite -q proxy default-ssl && systemctl restart apache2")
    before = bed.run("cat", "/etc/qemu-web-desktop/machines.conf").stdout

    def download(url, *environment, setting=""):
        bed.run("rm -rf /var/lib/qemu-web-desktop/machines/far.iso /var/lib/qemu-web-desktop/machines/downloads/far.iso; : >/var/log/apache2/proxy.log")
        bed.write("/etc/qemu-web-desktop/machines.conf", before + f"[far.iso]\nurl={url.format(name=name)}\ndescription=Far\n")
        bed.write("/etc/qemu-web-desktop/config.d/proxy.toml", f'[download]\nservice_proxy = "{setting}"\n')
        words = [word.format(name=name) for word in environment]
        bed.run("env", *words, "qwdctl", "download", "far.iso")
        bed.run("cmp /usr/lib/grub-rescue/grub-rescue-cdrom.iso /var/lib/qemu-web-desktop/machines/far.iso")
        return bed.run("cat", "/var/log/apache2/proxy.log").stdout

    yield download
    bed.write("/etc/qemu-web-desktop/machines.conf", before)
    bed.run("a2dissite -q proxy default-ssl; a2dismod -q -f proxy_connect ssl; systemctl restart apache2; rm -rf "
            "/etc/qemu-web-desktop/config.d/proxy.toml /etc/apache2/sites-available/proxy.conf /var/www/html/*.iso "
            "/usr/local/share/ca-certificates/bed.crt /var/lib/qemu-web-desktop/machines/far.iso "
            "/var/lib/qemu-web-desktop/machines/downloads/far.iso; update-ca-certificates --fresh >/dev/null 2>&1")


PLAIN = "http://127.0.0.1:8081/grub-rescue-cdrom.iso"
SECURE = "https://{name}/grub-rescue-cdrom.iso"


def test_the_setting_leads_through_the_proxy(proxy):
    assert "GET" in proxy(PLAIN, setting=AT)


@pytest.mark.parametrize("url, variable, seen", [(PLAIN, "http_proxy", "GET"), (SECURE, "https_proxy", "CONNECT")])
def test_the_environment_leads_through_the_proxy(proxy, url, variable, seen):
    assert seen in proxy(url, f"{variable}={AT}")


@pytest.mark.parametrize("url, variable, host", [(PLAIN, "http_proxy", "127.0.0.1"), (SECURE, "https_proxy", "{name}")])
def test_no_proxy_leads_past_it(proxy, url, variable, host):
    assert proxy(url, f"{variable}={AT}", f"no_proxy={host}") == ""
