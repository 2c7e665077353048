// The shop with Knex, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says.
const { FOLLOW, LINES, NAME, NEW, newProduct, refused, run, same } = require('../shop.js');
const knex = require('knex')({ client: 'pg', connection: process.env.DATABASE_URL, pool: { min: 0, max: 1 } });

// The row, for us alone until the end.
async function locked(t, table, id) {
  const row = await t(table).where({ id }).forUpdate().first();
  return FOLLOW ? t(table).where({ id }).first() : row;
}

async function upsert(t, sku, stock) {
  if (!FOLLOW) return t('products').insert(newProduct(sku, { stock })).onConflict('sku').merge(['stock']);
  return (await t('products').where({ sku }).update({ stock })) || t('products').insert(newProduct(sku, { stock }));
}

const count = async (t, table, where = {}) => Number((await t(table).where(where).count({ n: '*' }))[0].n);

run({
  async create_and_find(t) {
    const [{ id }] = await t('customers').insert({ [NAME]: 'Dee', email: 'dee@example.org' }).returning('id');
    same((await t('customers').where({ id }).first())[NAME], 'Dee');
  },
  async database_defaults(t) {
    same((await t('orders').insert({ customer_id: 1, placed: '2026-04-01' }).returning('status'))[0].status, 'open');
  },
  async save_changes(t) {
    same(await t('customers').where({ email: 'ada@example.org' }).update({ [NAME]: 'Ada B' }), 1);
    same(await count(t, 'customers', { [NAME]: 'Ada B' }), 1);
  },
  async the_city(t) {
    await t(NEW ? 'customers' : 'orders').where(NEW ? { id: 2 } : { customer_id: 2 }).update({ city: 'Bonn' });
    const found = t('orders').join('customers', 'customers.id', 'orders.customer_id').where('city', 'Bonn');
    same(await found.pluck('customer_id'), [2]);
  },
  async delete(t) {
    same(await t('orders').where({ id: 1 }).del(), 1);
    same([await count(t, LINES, { order_id: 1 }), await count(t, 'orders')], [0, 2]);
  },
  async delete_of_a_product(t) {
    await t('products').insert(newProduct('axe'));
    same(await t('products').where({ sku: 'axe' }).del(), 1);
  },
  async join(t) {
    const found = t(`${LINES} as l`).join('orders as o', 'o.id', 'l.order_id').join('customers as c', 'c.id', 'o.customer_id');
    same(await found.join('products as p', 'p.id', 'l.product_id').where('p.sku', 'saw').pluck(`c.${NAME}`), ['Ada']);
  },
  async aggregate(t) {
    const total = t(`${LINES} as l`).join('products as p', 'p.id', 'l.product_id').groupBy('l.order_id').orderBy('l.order_id');
    same((await total.select(t.raw('sum(l.amount * p.price) AS total'))).map((r) => r.total), ['1.50', '19.90', '0.50']);
  },
  async group_by_key(t) {
    const by = FOLLOW ? ['c.id', `c.${NAME}`] : ['c.id'];
    const counted = t('customers as c').leftJoin('orders as o', 'o.customer_id', 'c.id').groupBy(by).orderBy('c.id');
    same((await counted.select(`c.${NAME} as name`).count({ n: 'o.id' })).map((r) => [r.name, Number(r.n)]), [['Ada', 2], ['Ben', 1], ['Cy', 0]]);
  },
  async unique(t) {
    same(await refused(() => t('customers').insert({ [NAME]: 'A', email: 'ada@example.org' })), 'customers_email_key');
  },
  async foreign_key(t) {
    same(await refused(() => t('orders').insert({ customer_id: 99, placed: '2026-04-01' })), 'orders_customer_id_fkey');
  },
  async not_null(t) {
    same(await refused(() => t('customers').insert({ [NAME]: 'A' })), 'email');
  },
  async check(t) {
    same(await refused(() => t('products').insert(newProduct('bad', { price: -1 }))), 'products_price_check');
  },
  async upsert(t) {
    await upsert(t, 'saw', 5);
    await upsert(t, 'axe', 6);
    same(await t('products').whereIn('sku', ['saw', 'axe']).orderBy('sku').pluck('stock'), [6, 5]);
  },
  async insert_or_ignore(t) {
    const again = { [NAME]: 'A', email: 'ada@example.org' };
    if (FOLLOW) await refused(() => t.transaction((inner) => inner('customers').insert(again)));
    else await t('customers').insert(again).onConflict('email').ignore();
    same(await count(t, 'customers'), 3);
  },
  async upsert_of_a_line(t) {
    const line = t(LINES).insert({ order_id: 1, product_id: 1, amount: 99 }).onConflict(['order_id', 'product_id']).merge();
    same((await line.returning('amount'))[0].amount, 99);
  },
  async lock(t) {
    const saw = await locked(t, 'products', 3);
    same(await t('products').where({ id: 3 }).update({ stock: saw.stock - 1 }).returning('stock'), [{ stock: 6 }]);
  },
  async lock_of_a_line(t) {
    same((await t(LINES).where({ order_id: 2 }).forUpdate().first()).amount, 1);
  },
  async many_at_once(t) {
    const made = await t.batchInsert('products', Array.from({ length: 50 }, (_, i) => newProduct(`p${i}`)), 20).returning('id');
    same(new Set(made.map((p) => p.id)).size, 50);
  },
  async update_by_condition(t) {
    same(await t('products').where('price', '<', 1).increment('stock', 1), 2);
    same(await t('products').where({ sku: 'nut' }).pluck('stock'), [801]);
  },
  async savepoint(t) {
    await t.transaction(async (inner) => {
      await inner('customers').update({ [NAME]: 'gone' });
      throw new Error('back');
    }).catch(() => {});
    same(await count(t, 'customers', { [NAME]: 'gone' }), 0);
  },
  async pages_and_subqueries(t) {
    const buyers = t('customers').whereIn('id', t('orders').select('customer_id')).orderBy('id', 'desc').offset(1).limit(1);
    same(await buyers.pluck(NAME), ['Ada']);
  },
  async cleanup(t) {
    const tables = [LINES, 'orders', 'products', 'customers'];
    if (FOLLOW) for (const table of tables) await t(table).del();
    else await t.raw(`TRUNCATE ${tables.join(', ')}`);
    same(await count(t, 'customers'), 0);
  },
  async an_untouched_table(t) { // Knex looks in one schema: the first of the path, unless it is told which
    same(await t('tags').where({ word: 'new' }).pluck('id'), [1]);
    same(await (FOLLOW ? t.schema.withSchema('public') : t.schema).hasTable('tags'), true);
  },
  async introspection(t) {
    same(Object.keys(await t('customers').columnInfo()).slice(0, 3), ['id', NAME, 'email']);
  },
}, (work) => knex.transaction(work), () => knex.destroy());
