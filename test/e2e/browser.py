"""A headless Chromium for tests, spoken to over a pipe in its own protocol.

    with Browser() as b:
        page = b.page()                         # a new, empty profile of the user
        page.open('http://127.0.0.1:...', key)  # the key is what a person would type
        page.until("document.title == 'x'")
        page.value('1 + 1')

there() is false where none is installed."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


def there():
    return shutil.which('chromium') or shutil.which('chromium-browser')


class Browser:
    def __init__(self):
        self.home = tempfile.mkdtemp(prefix='pprofshim-browser.')
        to, self.to = os.pipe()
        self.back, back = os.pipe()

        def wire():  # it reads commands from 3 and answers on 4
            os.dup2(to, 100)
            os.dup2(back, 101)
            os.dup2(100, 3)
            os.dup2(101, 4)

        # No sandbox: in a container root may not have one, and it shows nothing but our own pages.
        self.process = subprocess.Popen(
            [there(), '--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-pipe', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage',
             '--user-data-dir=' + self.home, 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=wire,
            close_fds=False, env={'HOME': self.home, 'PATH': os.environ['PATH'], 'LANG': 'C.UTF-8'})
        os.close(to)
        os.close(back)
        self.pending, self.number, self.pages = b'', 0, {}

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.back)
        shutil.rmtree(self.home, ignore_errors=True)

    def read(self, limit):
        """One message, or None when none came in `limit` seconds."""
        end = time.monotonic() + limit
        while b'\0' not in self.pending:
            if not select.select([self.back], [], [], max(0, end - time.monotonic()))[0]:
                return None
            more = os.read(self.back, 1 << 20)
            if not more:
                raise OSError('the browser has ended')
            self.pending += more
        message, self.pending = self.pending.split(b'\0', 1)
        return json.loads(message)

    def send(self, method, session=None, **params):
        self.number += 1
        text = {'id': self.number, 'method': method, 'params': params}
        if session:
            text['sessionId'] = session
        os.write(self.to, json.dumps(text).encode() + b'\0')
        return self.number

    def take(self, limit):
        """Takes in one message; an event goes to its page at once."""
        message = self.read(limit)
        if message and message.get('sessionId') in self.pages and 'method' in message:
            self.pages[message['sessionId']].event(message['method'], message['params'])
        return message

    def command(self, method, session=None, limit=60, **params):
        number, end = self.send(method, session, **params), time.monotonic() + limit
        while True:
            message = self.take(max(0, end - time.monotonic()))
            if message is None:
                raise OSError('no answer to ' + method)
            if message.get('id') == number:
                if 'error' in message:
                    raise OSError('%s: %s' % (method, message['error']['message']))
                return message['result']

    def page(self, width=1200, height=800):
        context = self.command('Target.createBrowserContext')['browserContextId']
        target = self.command('Target.createTarget', url='about:blank', browserContextId=context)['targetId']
        session = self.command('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        return Page(self, session, width, height)


class Page:
    def __init__(self, browser, session, width, height):
        self.browser, self.session = browser, session
        browser.pages[session] = self
        self.asked, self.said, self.key = [], [], None  # requests, complaints
        for domain in 'Page', 'Network', 'Runtime', 'Log':
            self.command(domain + '.enable')
        self.command('Fetch.enable', handleAuthRequests=True)
        self.size(width, height)

    def command(self, method, **params):
        return self.browser.command(method, self.session, **params)

    def event(self, method, p):
        if method == 'Fetch.requestPaused':
            self.browser.send('Fetch.continueRequest', self.session, requestId=p['requestId'])
        elif method == 'Fetch.authRequired':
            answer = {'response': 'CancelAuth'}
            if self.key is not None:
                answer = {'response': 'ProvideCredentials', 'username': 'pprof', 'password': self.key}
            self.browser.send('Fetch.continueWithAuth', self.session, requestId=p['requestId'],
                              authChallengeResponse=answer)
        elif method == 'Network.requestWillBeSent':
            self.asked.append((p['requestId'], p['request']['method'], p['request']['url'],
                               p['request']['headers']))
        elif method == 'Runtime.exceptionThrown':
            d = p['exceptionDetails']
            self.said.append(d.get('exception', {}).get('description') or d['text'])
        elif method == 'Log.entryAdded':
            self.said.append(p['entry']['text'] + ' ' + p['entry'].get('url', ''))

    def body(self, request):
        """What was answered to one of self.asked."""
        r = self.command('Network.getResponseBody', requestId=request[0])
        return base64.b64decode(r['body']) if r['base64Encoded'] else r['body'].encode()

    def size(self, width, height, dark=False):
        self.command('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                     mobile=False)
        self.command('Emulation.setEmulatedMedia',
                     features=[{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}])

    def open(self, url, key=None):
        self.key = key
        self.command('Page.navigate', url=url)

    def value(self, expression):
        r = self.command('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in r:
            raise ValueError(r['exceptionDetails'].get('exception', {}).get('description') or 'exception')
        return r['result'].get('value')

    def until(self, expression, limit=30):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                if self.value(expression):
                    return True
            except (ValueError, OSError):  # the page is being changed
                pass
            time.sleep(0.05)
        return False

    def key_down(self, key, **more):
        self.command('Input.dispatchKeyEvent', type='keyDown', key=key, **more)
        self.command('Input.dispatchKeyEvent', type='keyUp', key=key, **more)

    def click(self, selector):
        at = self.value('(r => [r.x + r.width / 2, r.y + r.height / 2])'
                        '(document.querySelector(%s).getBoundingClientRect())' % json.dumps(selector))
        self.click_at(*at)

    def click_at(self, x, y):
        for kind in 'mouseMoved', 'mousePressed', 'mouseReleased':
            self.command('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def choose_file(self, selector, path):
        element = self.command('Runtime.evaluate', expression='document.querySelector(%s)' % json.dumps(selector))
        self.command('DOM.setFileInputFiles', objectId=element['result']['objectId'], files=[path])

    def shot(self, path, whole=False):
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.command('Page.captureScreenshot', captureBeyondViewport=whole)['data']))
