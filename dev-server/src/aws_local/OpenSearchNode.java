import java.io.IOException;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node with k-NN: OpenSearchNode.java FOLDER PORT. Runs until it is asked to end. */
public final class OpenSearchNode {
    public static void main(String[] args) throws InterruptedException {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("http.port", args[1]);
            settings.put("network.host", "127.0.0.1");
            settings.put("transport.port", "0");
            settings.put("discovery.type", "single-node");
            // A full disk of a developer is not ours to judge.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.putList("node.roles", "cluster_manager", "data", "ingest");
        });
        // It would look for another port.
        runner.setMaxHttpPort(-1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (IOException error) {
                System.err.println(error);
            }
        }));
        runner.build("-basePath", args[0], "-numOfNode", "1", "-clusterName", "autoops",
            "-pluginTypes", "org.opensearch.knn.plugin.KNNPlugin");
        // Its own threads do not keep the process.
        Thread.currentThread().join();
    }
}
