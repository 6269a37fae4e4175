"""How a service of any maker keeps to a norm, item by item, asked over its public interface: `./dev conformance`."""
