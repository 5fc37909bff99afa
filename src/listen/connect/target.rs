//! The servers that settings name.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::Error;

/// The port where none is given.
pub(super) const DEFAULT_PORT: &str = "5432";

/// One server to try.
#[derive(Debug, Clone)]
pub(in crate::listen) struct Target {
    /// A name, an address, or a directory that holds a Unix socket.
    pub host: String,
    /// Where it is, if that need not be asked.
    pub address: Option<IpAddr>,
    pub port: u16,
}

/// Brings lists of hosts, of their addresses, and of ports together.
///
/// # Errors
/// [`Error::InvalidOptions`] names the setting, and repeats nothing of it: it may be a URL with a password.
pub(super) fn targets(hosts: &str, addresses: &str, ports: &str) -> Result<Vec<Target>, Error> {
    let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
    if hosts.iter().any(|host| host.is_empty()) {
        return Err(Error::InvalidOptions("host must not be empty".into()));
    }
    if hosts.iter().any(|host| host.starts_with('@')) {
        return Err(Error::InvalidOptions(
            "host: abstract sockets (@) are not supported; give the socket's directory or an address".into(),
        ));
    }
    // It may be a whole URL, with a password in it.
    if hosts.iter().any(|host| !host.starts_with('/') && (host.contains(['@', '/']) || has_port(host))) {
        return Err(Error::InvalidOptions(
            "host must be a name, an address or a socket directory, and not a URL or host:port".into(),
        ));
    }
    let addresses = match addresses {
        "" => vec![None; hosts.len()],
        given => given
            .split(',')
            .map(|address| match address.trim() {
                "" => Ok(None),
                address => address.parse().map(Some),
            })
            .collect::<Result<Vec<Option<IpAddr>>, _>>()
            .map_err(|_| Error::InvalidOptions("hostaddr must be an IPv4 or IPv6 address".into()))?,
    };
    if addresses.len() != hosts.len() {
        return Err(Error::InvalidOptions(format!(
            "{} hosts and {} addresses (hostaddr): give one for each",
            hosts.len(),
            addresses.len()
        )));
    }
    let ports = ports
        .split(',')
        .map(|port| port.trim().parse().ok().filter(|&port| port != 0))
        .collect::<Option<Vec<u16>>>()
        .ok_or_else(|| Error::InvalidOptions("port must be a whole number from 1 to 65535".into()))?;
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(Error::InvalidOptions(format!(
            "{} hosts and {} ports: give one port for all hosts, or one for each",
            hosts.len(),
            ports.len()
        )));
    }
    let ports = ports.iter().copied().cycle();
    let targets = hosts.into_iter().zip(addresses).zip(ports);
    Ok(targets.map(|((host, address), port)| Target { host: host.to_owned(), address, port }).collect())
}

/// Whether there is a colon in it that is not an IPv6 address's; what follows may as well be a password.
fn has_port(host: &str) -> bool {
    // A scope, as in fe80::1%eth0, is a name of the system's.
    let address = host.split_once('%').map_or(host, |(address, _)| address);
    host.contains(':') && address.parse::<Ipv6Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use crate::listen::{Conninfo, Settings, Timings};

    #[test]
    fn an_address_is_dialled_in_place_of_its_host() {
        let addressed = |address: &str| Conninfo::default().with("hostaddr", address);
        let targets = |given| Settings::new(&given, Timings::default()).unwrap().targets;
        let both = targets(addressed("::1,").with("host", "a,b"));
        assert_eq!(both.iter().map(|target| &*target.host).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            both.iter().map(|target| target.address).collect::<Vec<_>>(),
            [Some([0, 0, 0, 0, 0, 0, 0, 1].into()), None]
        );
        assert_eq!(targets(addressed("10.0.0.1"))[0].host, "10.0.0.1");
    }
}
