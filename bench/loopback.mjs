// Loaded before a peer that would listen on every interface: what is measured here is nobody
// else's to reach.
import { Server } from "node:net";

const listen = Server.prototype.listen;

Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "number" || typeof first === "string") {
    const callback = rest.find((argument) => typeof argument === "function");
    return listen.call(this, { port: Number(first), host: "127.0.0.1" }, callback);
  }
  return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
};
