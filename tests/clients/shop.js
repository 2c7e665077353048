// What the suites for Node share: how tests are told, and what a refusal is. Each test is rolled back.
const assert = require('node:assert/strict');

const NEW = process.env.SHAPE === 'new';
const FOLLOW = 'FOLLOW' in process.env;
const NAME = NEW ? 'full_name' : 'name';
const LINES = NEW ? 'lines' : 'order_lines';
const same = assert.deepEqual;

const newProduct = (sku, more = {}) => ({ sku, price: '1.50', ...(NEW ? { maker_id: 1 } : { maker: 'Acme' }), ...more });

// The rule that an error of the driver, or one that wraps it, names.
async function refused(work) {
  try {
    await work();
  } catch (error) {
    const said = error.original ?? error.driverError ?? error.cause ?? error;
    return said.constraint ?? said.column ?? said.code ?? said.message;
  }
  throw new Error('not refused');
}

class Back extends Error {}

// Runs the tests, each with what `transaction` hands to it.
async function run(tests, transaction, close) {
  for (const [name, test] of Object.entries(tests)) {
    try {
      await transaction(async (t) => {
        await test(t);
        throw new Back();
      });
    } catch (error) {
      if (error instanceof Back) {
        console.log(`ok ${name}`);
      } else {
        process.exitCode = 1;
        const said = error.cause ?? error;
        console.log(`not ok ${name} - ${said.constructor.name} ${said.message.trim().split('\n').at(-1)}`);
      }
    }
  }
  await close();
}

module.exports = { NEW, FOLLOW, NAME, LINES, same, newProduct, refused, run };
