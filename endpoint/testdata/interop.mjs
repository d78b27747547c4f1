// Connects as a desktop does, with the client that is named: ws (npm) or node (the
// WebSocket of browsers, undici's, which takes headers besides). It says a beat in
// fragments where it can, and prints the types of the frames it hears, one a line.
import { createRequire } from 'node:module';
const [kind, url, token, protocol, folder] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${token}` };
const beat = '{"type":"beat","beat":{"n":7,"sessions":[]}}';
const hear = (text, send, close) => {
  const frame = JSON.parse(text);
  console.log(frame.type);
  if (frame.type === 'state') send();
  if (frame.type === 'lease' && frame.lease.n === 7) close();
};
if (kind === 'ws') {
  const WebSocket = createRequire(`${folder}/`)('ws');
  const socket = new WebSocket(url, protocol, { headers });
  socket.on('message', (data, binary) => hear(binary ? '{"type":"binary"}' : data.toString(), () => {
    socket.ping('p');
    socket.send(beat.slice(0, 9), { fin: false });
    socket.send(beat.slice(9), { fin: true });
  }, () => socket.close(1000, 'bye')));
  socket.on('pong', () => console.log('pong'));
  socket.on('close', (code) => console.log(`closed ${code}`));
  socket.on('error', (err) => console.log(`error ${err.message}`));
} else {
  const socket = new WebSocket(url, { protocols: [protocol], headers });
  socket.onmessage = (event) => hear(event.data, () => socket.send(beat), () => socket.close(1000, 'bye'));
  socket.onclose = (event) => console.log(`closed ${event.code}`);
  socket.onerror = (event) => console.log(`error ${event.message}`);
}
