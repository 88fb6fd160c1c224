# Berth itself: gateway, leader and worker are the same image with other flags.
FROM node:22-bookworm AS build
WORKDIR /berth
COPY . .
RUN npm ci && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
WORKDIR /berth
ENV NODE_ENV=production
COPY --from=build /berth/package.json /berth/LICENSE ./
COPY --from=build /berth/node_modules ./node_modules
COPY --from=build /berth/dist ./dist
# A new volume takes its owner from the folder that it covers, so the folder is made before it is declared one.
RUN mkdir -m 700 /data && chown node:node /data
VOLUME /data
EXPOSE 7411
# Whoever mounts the engine's socket into a worker gives it the machine: then, and only then, run it as root.
USER node
ENTRYPOINT ["node", "/berth/dist/gateway/main/berth.js"]
CMD ["serve", "--bind", "0.0.0.0", "--data", "/data"]
