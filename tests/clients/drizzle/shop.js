// The shop with Drizzle, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says.
const { FOLLOW, LINES, NAME, NEW, newProduct, refused, run, same } = require('../shop.js');
const { and, asc, count, desc, eq, inArray, lt, relations, sql } = require('drizzle-orm');
const { drizzle } = require('drizzle-orm/node-postgres');
const { date, integer, numeric, pgTable, text } = require('drizzle-orm/pg-core');
const { Pool } = require('pg');

const id = () => integer('id').primaryKey().generatedByDefaultAsIdentity();
const customers = pgTable('customers', { id: id(), name: text(NAME), email: text('email').unique(), ...(NEW && { city: text('city') }) });
const orders = pgTable('orders', {
  id: id(),
  customer_id: integer('customer_id').references(() => customers.id),
  placed: date('placed'),
  status: text('status'),
  ...(NEW ? { note: text('note') } : { city: text('city') }),
});
const products = pgTable('products', {
  id: id(),
  sku: text('sku').unique(),
  price: numeric('price'),
  stock: integer('stock').default(0),
  ...(NEW ? { maker_id: integer('maker_id') } : { maker: text('maker') }),
});
const lines = pgTable(LINES, {
  id: id(),
  order_id: integer('order_id').references(() => orders.id),
  product_id: integer('product_id').references(() => products.id),
  amount: integer('amount'),
});
const tags = pgTable('tags', { id: id(), word: text('word') });
const schema = {
  customers, orders, lines,
  ofCustomers: relations(customers, ({ many }) => ({ orders: many(orders) })),
  ofOrders: relations(orders, ({ one, many }) => ({ customer: one(customers, { fields: [orders.customer_id], references: [customers.id] }), lines: many(lines) })),
  ofLines: relations(lines, ({ one }) => ({ order: one(orders, { fields: [lines.order_id], references: [orders.id] }) })),
};
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 1 });
const db = drizzle(pool, { schema });
const order = { customer_id: 1, placed: '2026-04-01' };

async function upsert(t, sku, stock) {
  if (!FOLLOW) return t.insert(products).values(newProduct(sku, { stock })).onConflictDoUpdate({ target: products.sku, set: { stock } });
  const { rowCount } = await t.update(products).set({ stock }).where(eq(products.sku, sku));
  return rowCount || t.insert(products).values(newProduct(sku, { stock }));
}

run({
  async create_and_find(t) {
    const [made] = await t.insert(customers).values({ name: 'Dee', email: 'dee@example.org' }).returning();
    same((await t.query.customers.findFirst({ where: eq(customers.id, made.id) })).name, 'Dee');
  },
  async database_defaults(t) {
    same((await t.insert(orders).values(order).returning())[0].status, 'open');
  },
  async save_changes(t) {
    same((await t.update(customers).set({ name: 'Ada B' }).where(eq(customers.name, 'Ada')).returning())[0].name, 'Ada B');
  },
  async the_city(t) {
    const table = NEW ? customers : orders;
    await t.update(table).set({ city: 'Bonn' }).where(eq(NEW ? customers.id : orders.customer_id, 2));
    const found = await t.select({ by: orders.customer_id }).from(orders).innerJoin(customers, eq(customers.id, orders.customer_id)).where(eq(table.city, 'Bonn'));
    same(found, [{ by: 2 }]);
  },
  async delete(t) {
    same((await t.delete(orders).where(eq(orders.id, 1))).rowCount, 1);
    same([await t.$count(lines, eq(lines.order_id, 1)), await t.$count(orders)], [0, 2]);
  },
  async delete_of_a_product(t) {
    await t.insert(products).values(newProduct('axe'));
    same((await t.delete(products).where(eq(products.sku, 'axe'))).rowCount, 1);
  },
  async join(t) {
    const found = t.select({ name: customers.name, price: products.price }).from(lines).innerJoin(orders, eq(orders.id, lines.order_id));
    const all = found.innerJoin(customers, eq(customers.id, orders.customer_id)).innerJoin(products, eq(products.id, lines.product_id));
    same(await all.where(eq(products.sku, 'saw')), [{ name: 'Ada', price: '19.90' }]);
  },
  async nested(t) {
    const found = await t.query.customers.findMany({ with: { orders: { with: { lines: true } } }, orderBy: asc(customers.id) });
    same(found.map((c) => c.orders.reduce((n, o) => n + o.lines.length, 0)), [3, 1, 0]);
  },
  async aggregate(t) {
    const total = t.select({ total: sql`sum(${lines.amount} * ${products.price})` }).from(lines).innerJoin(products, eq(products.id, lines.product_id));
    same((await total.groupBy(lines.order_id).orderBy(lines.order_id)).map((row) => row.total), ['1.50', '19.90', '0.50']);
  },
  async group_by_key(t) {
    const counted = t.select({ name: customers.name, n: count(orders.id) }).from(customers).leftJoin(orders, eq(orders.customer_id, customers.id));
    const by = FOLLOW ? [customers.id, customers.name] : [customers.id];
    same((await counted.groupBy(...by).orderBy(customers.id)).map((row) => [row.name, row.n]), [['Ada', 2], ['Ben', 1], ['Cy', 0]]);
  },
  async unique(t) {
    same(await refused(() => t.insert(customers).values({ name: 'A', email: 'ada@example.org' })), 'customers_email_key');
  },
  async foreign_key(t) {
    same(await refused(() => t.insert(orders).values({ ...order, customer_id: 99 })), 'orders_customer_id_fkey');
  },
  async not_null(t) {
    same(await refused(() => t.insert(customers).values({ name: 'A' })), 'email');
  },
  async check(t) {
    same(await refused(() => t.insert(products).values(newProduct('bad', { price: '-1' }))), 'products_price_check');
  },
  async upsert(t) {
    await upsert(t, 'saw', 5);
    await upsert(t, 'axe', 6);
    const found = t.select({ stock: products.stock }).from(products).where(inArray(products.sku, ['saw', 'axe'])).orderBy(products.sku);
    same((await found).map((row) => row.stock), [6, 5]);
  },
  async insert_or_ignore(t) {
    const again = { name: 'A', email: 'ada@example.org' };
    if (FOLLOW) await refused(() => t.transaction((inner) => inner.insert(customers).values(again)));
    else await t.insert(customers).values(again).onConflictDoNothing();
    same(await t.$count(customers), 3);
  },
  async upsert_of_a_line(t) {
    const line = t.insert(lines).values({ order_id: 1, product_id: 1, amount: 99 });
    const done = await line.onConflictDoUpdate({ target: [lines.order_id, lines.product_id], set: { amount: 99 } }).returning();
    same(done[0].amount, 99);
  },
  async lock(t) {
    const saw = () => t.select().from(products).where(eq(products.sku, 'saw'));
    let [{ stock }] = await saw().for('update');
    if (FOLLOW) [{ stock }] = await saw();
    same((await t.update(products).set({ stock: stock - 1 }).where(eq(products.sku, 'saw')).returning())[0].stock, 6);
  },
  async lock_of_a_line(t) {
    same((await t.select().from(lines).where(eq(lines.order_id, 2)).for('update'))[0].amount, 1);
  },
  async many_at_once(t) {
    const made = await t.insert(products).values(Array.from({ length: 50 }, (_, i) => newProduct(`p${i}`))).returning();
    same(new Set(made.map((product) => product.id)).size, 50);
  },
  async update_by_condition(t) {
    same((await t.update(products).set({ stock: sql`${products.stock} + 1` }).where(lt(products.price, '1'))).rowCount, 2);
  },
  async savepoint(t) {
    await t.transaction(async (inner) => {
      await inner.update(customers).set({ name: 'gone' });
      inner.rollback();
    }).catch(() => {});
    same(await t.$count(customers, eq(customers.name, 'gone')), 0);
  },
  async pages_and_subqueries(t) {
    const buyers = t.select({ name: customers.name }).from(customers).where(inArray(customers.id, t.select({ id: orders.customer_id }).from(orders)));
    same(await buyers.orderBy(desc(customers.id)).offset(1).limit(1), [{ name: 'Ada' }]);
  },
  async cleanup(t) { // as `reset` of drizzle-seed does
    if (FOLLOW) for (const table of [lines, orders, products, customers]) await t.delete(table);
    else await t.execute(sql`TRUNCATE ${lines}, ${orders}, ${products}, ${customers} CASCADE`);
    same(await t.$count(customers), 0);
  },
  async an_untouched_table(t) {
    same(await t.select({ id: tags.id }).from(tags).where(and(eq(tags.word, 'new'), eq(tags.id, 1))), [{ id: 1 }]);
  },
}, (work) => db.transaction(work), () => pool.end());
