import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countedInterfaces } from '../../../apps/monitor/src/system-sample.ts';

test('bytes are those of the network cards: what runs over bonds and bridges is not counted again', () => {
  const names = ['lo', 'eth0', 'eth1', 'bond0', 'docker0', 'veth12'];
  assert.deepEqual(
    countedInterfaces(names, name => name.startsWith('eth')),
    ['eth0', 'eth1'],
  );
});

test('where no interface is a card, as in a container, all but loopback count', () => {
  assert.deepEqual(
    countedInterfaces(['lo', 'eth0'], () => false),
    ['eth0'],
  );
});
