import { type Account, Customers } from "./customers.ts";
import { type Order, Orders } from "./orders.ts";
import { GOODS, type Product, Range } from "./range.ts";
import { type Chance, pick, type Write, withOne } from "./write.ts";

/** So many of a kind are kept, that the story goes on for ever in a small database. */
const MOST_ACCOUNTS = 12;
const MOST_ORDERS = 20;

/** The business of ShopJot: knows what is in the three databases, and what may happen there next. */
export class Business {
  readonly #chance: Chance;
  readonly #range: Range;
  readonly #customers: Customers;
  readonly #orders: Orders;

  constructor(chance: Chance) {
    this.#chance = chance;
    this.#range = new Range(chance);
    this.#customers = new Customers(chance);
    this.#orders = new Orders(chance);
  }

  /** Every kind of change once, in an order that makes sense. */
  firstRound(): Write[] {
    const range = this.#range;
    const customers = this.#customers;
    const orders = this.#orders;
    const writes = [
      range.openShop(),
      range.addProduct(),
      range.addProduct(),
      range.addProduct(),
      range.addProduct(),
    ];
    const [lamp, notebook, pen] = range.products as [Product, Product, Product];
    writes.push(customers.signUp(), customers.signUp(), customers.signUp());
    const [ada, alan, grace] = customers.accounts as [Account, Account, Account];
    writes.push(customers.addAddress(ada), customers.addAddress(ada), customers.moveHouse(ada));
    writes.push(customers.changeEmail(alan), orders.fillBasket(ada, [lamp, notebook, pen]));
    const order = orders.orders[0] as Order;
    writes.push(
      orders.advance(order),
      orders.removeLine(order),
      orders.addLine(order, pen),
      orders.advance(order),
    );
    writes.push(
      range.renameCategory(),
      range.setPrice(lamp),
      range.setListed(notebook),
      range.setListed(notebook),
    );
    writes.push(
      range.setListed(pen),
      range.correctSku(lamp),
      customers.upgrade(grace),
      customers.dropAddress(ada),
    );
    writes.push(orders.fillBasket(alan, [lamp]), customers.signUp());
    const second = orders.orders[1] as Order;
    writes.push(
      orders.advance(second),
      orders.backToBasket(second),
      orders.advance(second),
      orders.advance(order),
    );
    writes.push(orders.deleteOrder(second), customers.closeAccount(grace), range.dropProduct(notebook));
    return writes;
  }

  /** Anything that may happen now. */
  next(): Write {
    const kinds = [...this.#inTheRange(), ...this.#amongCustomers(), ...this.#amongOrders()];
    for (;;) {
      const write = pick(this.#chance, kinds)();
      if (write !== undefined) return write;
    }
  }

  #inTheRange(): (() => Write | undefined)[] {
    const range = this.#range;
    const product = (work: (product: Product) => Write) => () => withOne(this.#chance, range.products, work);
    const many = range.products.length > GOODS.length;
    return [
      () => (many ? undefined : range.addProduct()),
      product((each) => range.setPrice(each)),
      product((each) => range.setListed(each)),
      () => (many ? product((each) => range.dropProduct(each))() : undefined),
      () => range.renameCategory(),
    ];
  }

  #amongCustomers(): (() => Write | undefined)[] {
    const customers = this.#customers;
    const { accounts } = customers;
    const account = (work: (account: Account) => Write | undefined) => () =>
      withOne(this.#chance, accounts, work);
    return [
      () => (accounts.length < MOST_ACCOUNTS ? customers.signUp() : undefined),
      account((each) => customers.addAddress(each)),
      account((each) => (each.addresses.length > 0 ? customers.moveHouse(each) : undefined)),
      account((each) => customers.changeEmail(each)),
      account((each) => customers.upgrade(each)),
      account((each) => (each.addresses.length > 1 ? customers.dropAddress(each) : undefined)),
      account((each) => (accounts.length > MOST_ACCOUNTS / 2 ? customers.closeAccount(each) : undefined)),
    ];
  }

  #amongOrders(): (() => Write | undefined)[] {
    const work = (): Write | undefined =>
      withOne(this.#chance, this.#orders.orders, (order) => this.#workOn(order));
    return [() => this.#order(), () => this.#order(), work, work, work, work];
  }

  #order(): Write | undefined {
    const products = this.#range.products.filter((product) => product.listed && this.#chance.random() < 0.4);
    if (products.length === 0 || this.#orders.orders.length >= MOST_ORDERS) return undefined;
    return withOne(this.#chance, this.#customers.accounts, (account) =>
      this.#orders.fillBasket(account, products),
    );
  }

  #workOn(order: Order): Write | undefined {
    const orders = this.#orders;
    if (order.status === "shipped" || order.status === "cancelled") return orders.deleteOrder(order);
    return pick<() => Write | undefined>(this.#chance, [
      () => orders.advance(order),
      () => orders.advance(order),
      () => orders.cancel(order),
      () => (order.lines.length > 1 ? orders.removeLine(order) : undefined),
      () => withOne(this.#chance, this.#range.products, (product) => orders.addLine(order, product)),
      () => (order.status === "placed" ? orders.backToBasket(order) : undefined),
    ])();
  }
}
