// The shop with Sequelize, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says.
const { FOLLOW, LINES, NAME, NEW, newProduct, refused, run, same } = require('../shop.js');
const { AsyncLocalStorage, AsyncResource } = require('node:async_hooks');
const { DataTypes, Op, Sequelize, Transaction } = require('sequelize');

const storage = new AsyncLocalStorage();
// Every query belongs to the transaction that is open.
Sequelize.useCLS({ run: (work) => storage.run({}, work), bind: AsyncResource.bind, get: (key) => storage.getStore()?.[key], set: (key, value) => { storage.getStore()[key] = value; } });
const db = new Sequelize(process.env.DATABASE_URL, { logging: false, pool: { max: 1 } });
const { DATEONLY, DECIMAL, INTEGER, TEXT } = DataTypes;
const id = { type: INTEGER, primaryKey: true, autoIncrement: true };
const define = (model, tableName, fields) => db.define(model, { id, ...fields }, { tableName, timestamps: false });

const Customer = define('customer', 'customers', {
  name: { type: TEXT, field: NAME },
  email: { type: TEXT, unique: true },
  ...(NEW && { city: TEXT }),
});
const Order = define('order', 'orders', { placed: DATEONLY, status: TEXT, ...(NEW ? { note: TEXT } : { city: TEXT }) });
const Product = define('product', 'products', {
  sku: { type: TEXT, unique: true },
  price: DECIMAL,
  stock: INTEGER,
  ...(NEW ? { maker_id: INTEGER } : { maker: TEXT }),
});
const Line = define('line', LINES, { amount: INTEGER });
const Tag = define('tag', 'tags', { word: TEXT });
Customer.hasMany(Order, { foreignKey: 'customer_id' });
Order.belongsTo(Customer, { foreignKey: 'customer_id' });
Line.belongsTo(Order, { foreignKey: 'order_id' });
Line.belongsTo(Product, { foreignKey: 'product_id' });

// The row, for us alone until the end.
async function locked(model, key, t) {
  const row = await model.findByPk(key, { lock: t.LOCK.UPDATE });
  return FOLLOW ? row.reload() : row;
}

async function upsert(sku, stock) {
  if (!FOLLOW) return Product.upsert(newProduct(sku, { stock }), { fields: ['sku', 'stock', 'price', NEW ? 'maker_id' : 'maker'] });
  const [changed] = await Product.update({ stock }, { where: { sku } });
  return changed || Product.create(newProduct(sku, { stock }));
}

run({
  async create_and_find() {
    const made = await Customer.create({ name: 'Dee', email: 'dee@example.org' });
    same((await Customer.findByPk(made.id)).name, 'Dee');
  },
  async database_defaults() {
    same((await Order.create({ customer_id: 1, placed: '2026-04-01' })).status, 'open');
  },
  async save_changes() {
    const ada = await Customer.findOne({ where: { name: 'Ada' } });
    ada.name = 'Ada B';
    await ada.save();
    same((await ada.reload()).name, 'Ada B');
  },
  async the_city() {
    const holder = await (NEW ? Customer.findByPk(2) : Order.findByPk(3));
    same(holder.city, 'Ulm');
    await holder.update({ city: 'Bonn' });
    const found = await Order.findAll({ include: Customer, where: { [NEW ? '$customer.city$' : 'city']: 'Bonn' } });
    same(found.map((order) => order.customer_id), [2]);
  },
  async delete() {
    await (await Order.findByPk(1)).destroy();
    same([await Line.count({ where: { order_id: 1 } }), await Order.count()], [0, 2]);
  },
  async delete_of_a_product() {
    await (await Product.create(newProduct('axe'))).destroy();
    same(await Product.count({ where: { sku: 'axe' } }), 0);
  },
  async join() {
    const found = await Line.findAll({ include: [{ model: Order, include: Customer }, { model: Product, where: { sku: 'saw' } }] });
    same(found.map((line) => [line.order.customer.name, line.product.price]), [['Ada', '19.90']]);
  },
  async aggregate() {
    const total = [Sequelize.literal('sum("line"."amount" * "product"."price")'), 'total'];
    const found = await Line.findAll({ attributes: ['order_id', total], include: { model: Product, attributes: [] }, group: 'order_id', order: ['order_id'], raw: true });
    same(found.map((row) => row.total), ['1.50', '19.90', '0.50']);
  },
  async group_by_key() {
    const group = FOLLOW ? ['customer.id', `customer.${NAME}`] : ['customer.id'];
    const n = [Sequelize.fn('count', Sequelize.col('orders.id')), 'n'];
    const found = await Customer.findAll({ attributes: ['name', n], include: { model: Order, attributes: [] }, group, order: ['id'], raw: true });
    same(found.map((row) => [row.name, Number(row.n)]), [['Ada', 2], ['Ben', 1], ['Cy', 0]]);
  },
  async unique() {
    same(await refused(() => Customer.create({ name: 'A', email: 'ada@example.org' })), 'customers_email_key');
  },
  async foreign_key() {
    same(await refused(() => Order.create({ customer_id: 99, placed: '2026-04-01' })), 'orders_customer_id_fkey');
  },
  async not_null() {
    same(await refused(() => Customer.create({ name: 'A' })), 'email');
  },
  async check() {
    same(await refused(() => Product.create(newProduct('bad', { price: -1 }))), 'products_price_check');
  },
  async upsert() {
    await upsert('saw', 5);
    await upsert('axe', 6);
    const found = await Product.findAll({ where: { sku: { [Op.in]: ['saw', 'axe'] } }, order: ['sku'] });
    same(found.map((product) => product.stock), [6, 5]);
  },
  async insert_or_ignore(t) {
    const again = { name: 'A', email: 'ada@example.org' };
    if (FOLLOW) await refused(() => db.transaction({ transaction: t }, (inner) => Customer.create(again, { transaction: inner })));
    else await Customer.bulkCreate([again], { ignoreDuplicates: true });
    same(await Customer.count(), 3);
  },
  async upsert_of_a_line() {
    const line = { order_id: 1, product_id: 1, amount: 99 };
    await Line.bulkCreate([line], { updateOnDuplicate: ['amount'], conflictAttributes: ['order_id', 'product_id'] });
    same((await Line.findOne({ where: { order_id: 1, product_id: 1 } })).amount, 99);
  },
  async find_or_create() { // in one statement with a function that catches the error
    same((await Customer.findOrCreate({ where: { email: 'ada@example.org' }, defaults: { name: 'A' } }))[1], false);
    same((await Customer.findOrCreate({ where: { email: 'eve@example.org' }, defaults: { name: 'Eve' } }))[1], true);
  },
  async lock(t) {
    const saw = await locked(Product, 3, t);
    await saw.update({ stock: saw.stock - 1 });
    same((await Product.findByPk(3)).stock, 6);
  },
  async lock_of_a_line(t) {
    same((await Line.findByPk(3, { lock: t.LOCK.UPDATE })).amount, 1);
  },
  async many_at_once() {
    const made = await Product.bulkCreate(Array.from({ length: 50 }, (_, i) => newProduct(`p${i}`)));
    same(new Set(made.map((product) => product.id)).size, 50);
  },
  async update_by_condition() {
    await Product.increment({ stock: 1 }, { where: { price: { [Op.lt]: 1 } } });
    same((await Product.findOne({ where: { sku: 'nut' } })).stock, 801);
  },
  async pages() {
    const found = await Customer.findAndCountAll({ order: [['id', 'DESC']], offset: 1, limit: 1 });
    same([found.count, found.rows[0].name], [3, 'Ben']);
  },
  async cleanup() {
    for (const model of [Line, Order, Product, Customer]) await model.destroy(FOLLOW ? { where: {} } : { truncate: true, cascade: true });
    same(await Customer.count(), 0);
  },
  async an_untouched_table() {
    same((await Tag.findOne({ where: { word: 'new' } })).id, 1);
    same((await db.getQueryInterface().describeTable('tags')).id.primaryKey, true);
  },
  async introspection() { // Sequelize looks in `public`, unless it is told where
    const [[{ schema }]] = await db.query('SELECT current_schema() AS schema');
    const fields = await db.getQueryInterface().describeTable('customers', FOLLOW ? { schema } : undefined);
    same(Object.keys(fields).slice(0, 3), ['id', NAME, 'email']);
    same(fields.id.primaryKey, true);
  },
}, (work) => db.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.READ_COMMITTED }, work), () => db.close());
