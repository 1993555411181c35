#!/usr/bin/env python3
"""Servers that put themselves into the background have the endpoint at once (H07, H59).

Each is started as its manual says, and its first process ends; V=1 shows how long after that the
endpoint answers.  Those that are not installed are skipped.

Seen to fail against:
  dnsmasq   nobody who waits until the ancestor that has the port has ended (ours): no answer
  the rest  no variant was tried; dormant children (ours of the first day) would fail in all but
            postgres, which pg_ctl executes
"""
import os
import shutil
import time

import harness
from harness import check, poll, run, same, skip
from test_hazards_fork import Server, servers_of

PATH = os.environ.get('PATH', '') + ':/usr/sbin:/sbin:/usr/local/sbin'


def find(*names):
    for name in names:
        path = shutil.which(name, path=PATH)
        if path:
            return path
    return None


def folder_of(name, user=None):
    folder = os.path.join(harness.work, name)
    os.mkdir(folder)
    os.chmod(harness.work, 0o755)
    os.chmod(folder, 0o777 if user else 0o755)
    return folder


def write(path, text):
    with open(path, 'w') as f:
        f.write(text)
    return path


def judge(name, *command, takes_over=True, env=None):
    """Starts it; it answers before anybody speaks to it, and says nothing."""
    with Server(*command, env=env) as s:
        answers = poll(s.answers, 20, 0.002)
        took = time.monotonic() - s.ended
        if os.environ.get('V'):
            print('%6.3f s to answer: %s' % (took, name), flush=True)
        if not check(name + ': answers', answers, (s.code, s.said, servers_of(s.shim))):
            return
        same(name + ': its first process ended well', s.code, 0)
        check(name + ': we said nothing', 'pprofshim' not in s.said, s.said)
        check(name + ': a CPU profile', s.fetch('profile?seconds=1') is not None)
        check(name + ': a heap profile', s.fetch('heap') is not None)
        page = s.fetch('shim').decode()
        if takes_over:
            check(name + ': the page tells of the takeover', 'took over from' in page, page)


def test_redis_answers():
    redis = find('redis-server')
    if not redis:
        return skip('redis', 'not installed')
    folder = folder_of('redis')
    judge('redis', redis, '--port', str(harness.free_port()), '--daemonize', 'yes', '--save', '',
          '--dir', folder, '--logfile', folder + '/log')


def test_nginx_answers():
    nginx = find('nginx')
    if not nginx:
        return skip('nginx', 'not installed')
    folder = folder_of('nginx')
    conf = write(folder + '/conf', 'pid %s/pid; error_log %s/log; events {}\nhttp { access_log off;'
                 ' server { listen 127.0.0.1:%d; } }\n' % (folder, folder, harness.free_port()))
    judge('nginx', nginx, '-p', folder, '-c', conf)


def test_memcached_answers():
    memcached = find('memcached')
    if not memcached:
        return skip('memcached', 'not installed')
    judge('memcached', memcached, '-d', '-u', 'nobody', '-l', '127.0.0.1', '-p',
          str(harness.free_port()), '-P', folder_of('memcached', 'nobody') + '/pid')


def test_php_fpm_answers():
    fpm = find('php-fpm8.2', 'php-fpm8.4', 'php-fpm7.4', 'php-fpm')
    if not fpm:
        return skip('php-fpm', 'not installed')
    folder = folder_of('fpm')
    conf = write(folder + '/conf', '[global]\npid = {0}/pid\nerror_log = {0}/log\n[www]\n'
                 'listen = {0}/socket\nuser = nobody\ngroup = nogroup\npm = static\n'
                 'pm.max_children = 2\n'.format(folder))
    judge('php-fpm', fpm, '--daemonize', '--fpm-config', conf)


def test_haproxy_answers():
    haproxy = find('haproxy')
    if not haproxy:
        return skip('haproxy', 'not installed')
    folder = folder_of('haproxy')
    conf = write(folder + '/conf', 'global\n  pidfile %s/pid\ndefaults\n  mode http\n'
                 '  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\nfrontend f\n'
                 '  bind 127.0.0.1:%d\n' % (folder, harness.free_port()))
    judge('haproxy', haproxy, '-D', '-f', conf)


def test_apache_answers():
    apache, modules = find('apache2'), '/usr/lib/apache2/modules/mod_'
    if not apache or os.geteuid() != 0:
        return skip('apache', 'not installed, or not root')
    for mpm in 'prefork', 'event':
        folder = folder_of('apache-' + mpm)
        conf = write(folder + '/conf', (
            'ServerRoot {0}\nPidFile {0}/pid\nErrorLog {0}/log\nServerName localhost\n'
            'Listen 127.0.0.1:{1}\nLoadModule mpm_{2}_module {3}mpm_{2}.so\n'
            'LoadModule authz_core_module {3}authz_core.so\nUser www-data\nGroup www-data\n'
            'DocumentRoot {0}\n').format(folder, harness.free_port(), mpm, modules))
        judge('apache ' + mpm, apache, '-f', conf, '-k', 'start')


def test_dnsmasq_answers():
    dnsmasq = find('dnsmasq')
    if not dnsmasq or os.geteuid() != 0:
        return skip('dnsmasq', 'not installed, or not root')
    judge('dnsmasq', dnsmasq, '--conf-file=/dev/null', '--port=%d' % harness.free_port(),
          '--listen-address=127.0.0.1', '--bind-interfaces', '--no-resolv', '--no-hosts',
          '--user=nobody', '--pid-file=' + folder_of('dnsmasq', 'nobody') + '/pid')


def test_unbound_answers():
    unbound = find('unbound')
    if not unbound:
        return skip('unbound', 'not installed')
    folder = folder_of('unbound', 'nobody')
    conf = write(folder + '/conf', 'server:\n  interface: 127.0.0.1\n  port: %d\n  chroot: ""\n'
                 '  username: ""\n  pidfile: "%s/pid"\n  use-syslog: no\n  logfile: "%s/log"\n'
                 '  directory: "%s"\n  module-config: "iterator"\nremote-control:\n'
                 '  control-enable: no\n' % (harness.free_port(), folder, folder, folder))
    judge('unbound', unbound, '-c', conf)


def test_stunnel_answers():
    stunnel, openssl = find('stunnel4', 'stunnel'), find('openssl')
    if not stunnel or not openssl:
        return skip('stunnel', 'not installed')
    folder = folder_of('stunnel')
    os.system('%s req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout %s/key '
              '-out %s/cert >/dev/null 2>&1' % (openssl, folder, folder))
    conf = write(folder + '/conf', 'pid = {0}/pid\noutput = {0}/log\nforeground = no\n'
                 'cert = {0}/cert\nkey = {0}/key\n[s]\naccept = 127.0.0.1:{1}\n'
                 'connect = 127.0.0.1:{2}\n'.format(folder, harness.free_port(),
                                                    harness.free_port()))
    judge('stunnel', stunnel, conf)


def test_postgres_answers():
    pg_ctl = find('pg_ctl')
    for version in '15', '17', '13':
        pg_ctl = pg_ctl or find('/usr/lib/postgresql/%s/bin/pg_ctl' % version)
    if not pg_ctl or os.geteuid() != 0 or os.system('id postgres >/dev/null 2>&1'):
        return skip('postgres', 'not installed, or not root')
    folder = folder_of('postgres', 'postgres')
    as_postgres = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', 'env',
                   'LD_PRELOAD=']
    os.system(' '.join(as_postgres) + ' %s/initdb -N -A trust %s/data >/dev/null 2>&1' %
              (os.path.dirname(os.path.realpath(pg_ctl)), folder))
    options = '-c port=%d -c listen_addresses= -c unix_socket_directories=%s' % (
        harness.free_port(), folder)
    # PPROF_ONLY: pg_ctl and its shell have the port before postgres has, and are not meant
    judge('postgres', 'setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', pg_ctl,
          '-D', folder + '/data', '-l', folder + '/log', '-w', '-o', options, 'start',
          takes_over=False, env={'PPROF_ONLY': 'postgres'})


if __name__ == '__main__':
    run(test_redis_answers, test_nginx_answers, test_memcached_answers, test_php_fpm_answers,
        test_haproxy_answers, test_apache_answers, test_dnsmasq_answers, test_unbound_answers,
        test_stunnel_answers, test_postgres_answers)
