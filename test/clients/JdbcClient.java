// Follows a slot through JDBC, and appends its records to a file, each a line, as they are:
//   java JdbcClient URL SLOT FILE [LINES]
// It ends at the logical message `end`; or, as if it had crashed, when it has written so many LINES. When it starts
// again, it leaves out what the file has already.
import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.PGConnection;
import org.postgresql.replication.LogSequenceNumber;
import org.postgresql.replication.PGReplicationStream;

public class JdbcClient {
	private static final Pattern HEAD = Pattern.compile(
		"\\{\"kind\":\"(\\w+)\",(?:\"version\":\\d+,)?\"lsn\":\"([0-9A-F/]+)\"(?:[^{\\[]*?\"seq\":(\\d+))?");

	/** Where a record is in the stream: places only ever grow. */
	private record Place(long lsn, double seq) {
		static Place of(String line) {
			Matcher head = HEAD.matcher(line);
			if (!head.lookingAt())
				throw new IllegalArgumentException(line);
			double end = head.group(1).equals("commit") ? Double.POSITIVE_INFINITY : 0.5;
			return new Place(LogSequenceNumber.valueOf(head.group(2)).asLong(),
				head.group(3) == null ? end : Double.parseDouble(head.group(3)));
		}

		boolean isAfter(Place other) {
			int order = Long.compareUnsigned(lsn, other.lsn);
			return order > 0 || order == 0 && seq > other.seq;
		}
	}

	private static Connection connect(String url) throws SQLException {
		Properties properties = new Properties();
		properties.setProperty("assumeMinServerVersion", "9.4");
		properties.setProperty("replication", "database");
		properties.setProperty("preferQueryMode", "simple");
		return DriverManager.getConnection(url, properties);
	}

	private static PGReplicationStream open(PGConnection connection, String slot) throws SQLException {
		try {
			connection.getReplicationAPI().createReplicationSlot().logical()
				.withSlotName(slot).withOutputPlugin("carbonite").make();
		} catch (SQLException exception) {
			if (!"42710".equals(exception.getSQLState()))
				throw exception;
		}
		return connection.getReplicationAPI().replicationStream().logical().withSlotName(slot)
			.withSlotOption("partitions", "leaf").withSlotOption("batch-bytes", 8192)
			.withStatusInterval(1, TimeUnit.SECONDS).start();
	}

	private static void confirm(PGReplicationStream stream) {
		stream.setFlushedLSN(stream.getLastReceiveLSN());
		stream.setAppliedLSN(stream.getLastReceiveLSN());
	}

	public static void main(String[] args) throws Exception {
		Path path = Path.of(args[2]);
		long left = args.length > 3 ? Long.parseLong(args[3]) : Long.MAX_VALUE;
		Place done = new Place(0, 0);
		if (Files.exists(path))
			for (String line : Files.readAllLines(path))
				done = Place.of(line);
		FileOutputStream file = new FileOutputStream(path.toFile(), true);
		Connection connection = connect(args[0]);
		PGReplicationStream stream = open(connection.unwrap(PGConnection.class), args[1]);
		boolean end = false;

		while (!end) {
			ByteBuffer message = stream.readPending();
			if (message == null) {
				// nothing has come: what was received is done, up to where the server says it is
				confirm(stream);
				TimeUnit.MILLISECONDS.sleep(10);
				continue;
			}
			String text = new String(message.array(), message.arrayOffset() + message.position(),
				message.remaining(), StandardCharsets.UTF_8);
			for (String line : text.split("\n")) {
				Place place = Place.of(line);
				if (!place.isAfter(done))
					continue;
				file.write((line + "\n").getBytes(StandardCharsets.UTF_8));
				done = place;
				if (--left == 0)
					Runtime.getRuntime().halt(42);
				end = line.contains("\"prefix\":\"end\"");
			}
			// a batch ends where its transaction ends, or before: this confirms nothing that is still to come
			confirm(stream);
		}
		stream.forceUpdateStatus();
		stream.close();
		connection.close();
	}
}
