// The shop with TypeORM, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says.
require('reflect-metadata');
const { FOLLOW, LINES, NAME, NEW, newProduct, refused, run, same } = require('../shop.js');
const { DataSource, EntitySchema } = require('typeorm');

const id = { type: Number, primary: true, generated: true };
const entity = (name, tableName, columns, relations) => new EntitySchema({ name, tableName, columns: { id, ...columns }, relations });
const to = (target, name) => ({ type: 'many-to-one', target, joinColumn: { name } });

const Customer = entity('Customer', 'customers', {
  name: { type: 'text', name: NAME },
  email: { type: 'text', unique: true },
  ...(NEW && { city: { type: 'text', nullable: true } }),
});
const Order = entity('Order', 'orders', {
  customer_id: { type: Number },
  placed: { type: 'date' },
  status: { type: 'text', default: 'open' },
  ...(NEW ? { note: { type: 'text', default: '' } } : { city: { type: 'text', nullable: true } }),
}, { customer: to('Customer', 'customer_id') });
const Product = entity('Product', 'products', {
  sku: { type: 'text', unique: true },
  price: { type: 'numeric' },
  stock: { type: Number, default: 0 },
  ...(NEW ? { maker_id: { type: Number } } : { maker: { type: 'text' } }),
});
const Line = entity('Line', LINES, { order_id: { type: Number }, product_id: { type: Number }, amount: { type: Number } },
  { order: to('Order', 'order_id'), product: to('Product', 'product_id') });
const Tag = entity('Tag', 'tags', { word: { type: 'text' } });

const db = new DataSource({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Customer, Order, Product, Line, Tag] });
const connected = db.initialize();

// The row, for us alone until the end.
async function locked(t, model, key) {
  const row = await t.findOne(model, { where: { id: key }, lock: { mode: 'pessimistic_write' } });
  return FOLLOW ? t.findOneBy(model, { id: key }) : row;
}

async function upsert(t, sku, stock) {
  if (!FOLLOW) return t.upsert(Product, newProduct(sku, { stock }), ['sku']);
  const { affected } = await t.update(Product, { sku }, { stock });
  return affected || t.insert(Product, newProduct(sku, { stock }));
}

run({
  async create_and_find(t) {
    const made = await t.save(Customer, { name: 'Dee', email: 'dee@example.org' });
    same((await t.findOneBy(Customer, { id: made.id })).name, 'Dee');
  },
  async database_defaults(t) {
    same((await t.save(Order, { customer_id: 1, placed: '2026-04-01' })).status, 'open');
  },
  async save_changes(t) {
    const ada = await t.findOneBy(Customer, { name: 'Ada' });
    ada.name = 'Ada B';
    await t.save(Customer, ada);
    same((await t.findOneBy(Customer, { id: ada.id })).name, 'Ada B');
  },
  async the_city(t) {
    const [model, key] = NEW ? [Customer, 2] : [Order, 3];
    const holder = await t.findOneBy(model, { id: key });
    same(holder.city, 'Ulm');
    await t.save(model, { ...holder, city: 'Bonn' });
    const found = await t.find(Order, { where: NEW ? { customer: { city: 'Bonn' } } : { city: 'Bonn' } });
    same(found.map((order) => order.customer_id), [2]);
  },
  async delete(t) {
    await t.remove(Order, await t.findOneBy(Order, { id: 1 }));
    same([await t.countBy(Line, { order_id: 1 }), await t.count(Order)], [0, 2]);
  },
  async delete_of_a_product(t) {
    await t.save(Product, newProduct('axe'));
    same((await t.delete(Product, { sku: 'axe' })).affected, 1);
  },
  async join(t) {
    const found = await t.find(Line, { relations: { order: { customer: true }, product: true }, where: { product: { sku: 'saw' } } });
    same(found.map((line) => [line.order.customer.name, line.product.price]), [['Ada', '19.90']]);
  },
  async aggregate(t) {
    const total = t.createQueryBuilder(Line, 'l').innerJoin('l.product', 'p').groupBy('l.order_id').orderBy('l.order_id');
    same((await total.select('sum(l.amount * p.price)', 'total').getRawMany()).map((row) => row.total), ['1.50', '19.90', '0.50']);
  },
  async group_by_key(t) {
    const counted = t.createQueryBuilder(Customer, 'c').leftJoin(Order, 'o', 'o.customer_id = c.id').groupBy('c.id').orderBy('c.id');
    if (FOLLOW) counted.addGroupBy('c.name');
    const found = await counted.select('c.name', 'name').addSelect('count(o.id)', 'n').getRawMany();
    same(found.map((row) => [row.name, Number(row.n)]), [['Ada', 2], ['Ben', 1], ['Cy', 0]]);
  },
  async unique(t) {
    same(await refused(() => t.insert(Customer, { name: 'A', email: 'ada@example.org' })), 'customers_email_key');
  },
  async foreign_key(t) {
    same(await refused(() => t.insert(Order, { customer_id: 99, placed: '2026-04-01' })), 'orders_customer_id_fkey');
  },
  async not_null(t) {
    same(await refused(() => t.insert(Customer, { name: 'A' })), 'email');
  },
  async check(t) {
    same(await refused(() => t.insert(Product, newProduct('bad', { price: -1 }))), 'products_price_check');
  },
  async upsert(t) {
    await upsert(t, 'saw', 5);
    await upsert(t, 'axe', 6);
    const found = await t.find(Product, { where: [{ sku: 'saw' }, { sku: 'axe' }], order: { sku: 'ASC' } });
    same(found.map((product) => product.stock), [6, 5]);
  },
  async insert_or_ignore(t) {
    const again = { name: 'A', email: 'ada@example.org' };
    if (FOLLOW) await refused(() => t.transaction((inner) => inner.insert(Customer, again)));
    else await t.createQueryBuilder().insert().into(Customer).values(again).orIgnore().execute();
    same(await t.count(Customer), 3);
  },
  async upsert_of_a_line(t) {
    await t.upsert(Line, { order_id: 1, product_id: 1, amount: 99 }, ['order_id', 'product_id']);
    same((await t.findOneBy(Line, { order_id: 1, product_id: 1 })).amount, 99);
  },
  async lock(t) {
    const saw = await locked(t, Product, 3);
    await t.update(Product, saw.id, { stock: saw.stock - 1 });
    same((await t.findOneBy(Product, { id: 3 })).stock, 6);
  },
  async lock_of_a_line(t) {
    same((await t.findOne(Line, { where: { order_id: 2 }, lock: { mode: 'pessimistic_write' } })).amount, 1);
  },
  async many_at_once(t) {
    const made = await t.save(Product, Array.from({ length: 50 }, (_, i) => newProduct(`p${i}`)));
    same(new Set(made.map((product) => product.id)).size, 50);
  },
  async update_by_condition(t) {
    const change = t.createQueryBuilder().update(Product).set({ stock: () => 'stock + 1' }).where('price < 1');
    same((await change.execute()).affected, 2);
  },
  async savepoint(t) {
    await t.transaction(async (inner) => {
      await inner.update(Customer, 1, { name: 'gone' });
      throw new Error('back');
    }).catch(() => {});
    same(await t.countBy(Customer, { name: 'gone' }), 0);
  },
  async pages(t) {
    const [found, all] = await t.findAndCount(Customer, { order: { id: 'DESC' }, skip: 1, take: 1 });
    same([found[0].name, all], ['Ben', 3]);
  },
  async cleanup(t) {
    for (const model of [Line, Order, Product, Customer]) {
      if (FOLLOW) await t.createQueryBuilder().delete().from(model).execute();
      else await t.query(`TRUNCATE ${model.options.tableName} CASCADE`);
    }
    same(await t.count(Customer), 0);
  },
  async an_untouched_table(t) {
    same((await t.findOneBy(Tag, { word: 'new' })).id, 1);
    same((await t.queryRunner.getTable(FOLLOW ? 'public.tags' : 'tags')).primaryColumns.map((c) => c.name), ['id']);
  },
  async introspection(t) {
    const table = await t.queryRunner.getTable('customers');
    same(table.columns.map((c) => c.name).sort(), NEW ? ['city', 'email', 'full_name', 'id'] : ['email', 'id', 'name']);
    same(table.primaryColumns.map((c) => c.name), ['id']);
  },
}, async (work) => (await connected).transaction(work), () => db.destroy());
